/* SPDX-License-Identifier: BSD-2-Clause */
#include "made_tables.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_WORDS (sizeof(struct unwind_header) / sizeof(uint32_t))
#define RULE_WORDS   (sizeof(struct unwind_rule) / sizeof(uint32_t))
#define GARBAGE      0xa5

void made_table_begin(struct made_table *table, uint64_t first_page, uint32_t page_count)
{
	table->rule_count = 0;
	table->row_count = 0;
	table->first_page = first_page;
	table->page_count = page_count;
}

uint32_t made_table_rule(struct made_table *table, struct unwind_rule rule)
{
	assert_true(table->rule_count < MADE_RULES_MAX);
	table->rules[table->rule_count] = rule;
	return table->rule_count++;
}

void made_table_row(struct made_table *table, uint64_t address, uint32_t rule)
{
	assert_true(table->row_count < MADE_ROWS_MAX);
	assert_true((address >> UNWIND_PAGE_BITS) - table->first_page < table->page_count);
	assert_true(!table->row_count || table->rows[table->row_count - 1].address < address);
	table->rows[table->row_count++] = (struct made_row){address, rule};
}

int64_t made_table_find(const struct made_table *table, uint64_t address)
{
	int64_t found = -1;
	uint32_t i;

	for (i = 0; i < table->row_count && table->rows[i].address <= address; i++)
		if (table->rows[i].address >> UNWIND_PAGE_BITS == address >> UNWIND_PAGE_BITS)
			found = table->rows[i].rule;
	return found;
}

/* Index of the first row that is not below an address. */
static uint32_t rows_below(const struct made_table *table, uint64_t address)
{
	uint32_t count = 0;

	while (count < table->row_count && table->rows[count].address < address)
		count++;
	return count;
}

uint32_t made_table_blocks(const struct made_table *table, struct unwind_block **blocks)
{
	struct unwind_header header = {.first_page = (uint32_t)table->first_page,
				       .page_count = table->page_count};
	uint32_t words, count, i, *to;

	header.rules_at = HEADER_WORDS + table->page_count + 1;
	header.rows_at = header.rules_at + table->rule_count * RULE_WORDS;
	words = header.rows_at + table->row_count;
	count = (words + UNWIND_BLOCK_WORDS - 1) / UNWIND_BLOCK_WORDS;
	*blocks = malloc(count * sizeof(**blocks));
	assert_non_null(*blocks);
	memset(*blocks, GARBAGE, count * sizeof(**blocks));
	to = (*blocks)->words;
	memcpy(to, &header, sizeof(header));
	for (i = 0; i <= table->page_count; i++)
		to[HEADER_WORDS + i] =
			rows_below(table, (table->first_page + i) << UNWIND_PAGE_BITS);
	memcpy(to + header.rules_at, table->rules, table->rule_count * sizeof(table->rules[0]));
	for (i = 0; i < table->row_count; i++)
		to[header.rows_at + i] =
			(uint32_t)table->rows[i].address << 16 | (table->rows[i].rule & 0xffff);
	return count;
}

static int chunk_new(struct run *run, uint32_t number)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
	int chunk = bpf_map_create(BPF_MAP_TYPE_ARRAY, "made_chunk", sizeof(uint32_t),
				   sizeof(struct unwind_block), CHUNK_BLOCKS, &options);
	struct unwind_block garbage;
	uint32_t i;

	assert_true(chunk >= 0);
	memset(&garbage, GARBAGE, sizeof(garbage));
	for (i = 0; i < CHUNK_BLOCKS; i++)
		made_chunk_write(chunk, i, &garbage, 1);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(run->programs->maps.unwind_chunks),
					     &number, &chunk, BPF_ANY),
			 0);
	return chunk;
}

void made_chunks_new(struct made_chunks *chunks, struct run *run)
{
	chunks->run = run;
	chunks->tables = chunk_new(run, CHUNK_TABLES);
	chunks->ranges = chunk_new(run, CHUNK_RANGES);
}

void made_chunks_free(struct made_chunks *chunks)
{
	int map = bpf_map__fd(chunks->run->programs->maps.unwind_chunks);
	uint32_t number = CHUNK_TABLES;

	assert_int_equal(bpf_map_delete_elem(map, &number), 0);
	number = CHUNK_RANGES;
	assert_int_equal(bpf_map_delete_elem(map, &number), 0);
	close(chunks->tables);
	close(chunks->ranges);
	bpf_map_delete_elem(bpf_map__fd(chunks->run->programs->maps.address_spaces),
			    &chunks->run->programs->bss->subject_pid);
}

void made_chunk_write(int descriptor, uint32_t first, const void *blocks, uint32_t count)
{
	const struct unwind_block *all = blocks;
	uint32_t i, number;

	for (i = 0; i < count; i++) {
		number = first + i;
		assert_int_equal(bpf_map_update_elem(descriptor, &number, &all[i], BPF_ANY), 0);
	}
}

void made_chunks_add_table(struct made_chunks *chunks, uint32_t first,
			   const struct made_table *table)
{
	struct unwind_block *blocks;
	uint32_t count = made_table_blocks(table, &blocks);

	made_chunk_write(chunks->tables, first, blocks, count);
	free(blocks);
}

void made_chunks_add_ranges(struct made_chunks *chunks, uint32_t first,
			    const struct unwind_range *ranges, uint32_t count)
{
	uint32_t block_count = (count + UNWIND_RANGES_PER_BLOCK - 1) / UNWIND_RANGES_PER_BLOCK;
	struct unwind_block *blocks = malloc((block_count + 1) * sizeof(*blocks));

	assert_non_null(blocks);
	memset(blocks, GARBAGE, (block_count + 1) * sizeof(*blocks));
	memcpy(blocks, ranges, count * sizeof(*ranges));
	made_chunk_write(chunks->ranges, first, blocks, block_count);
	free(blocks);
}

void made_space_set(struct run *run, const struct address_space *space)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(run->programs->maps.address_spaces),
					     &run->programs->bss->subject_pid, space, BPF_ANY),
			 0);
}

struct address_space made_space_get(const struct run *run)
{
	struct address_space space;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(run->programs->maps.address_spaces),
					     &run->programs->bss->subject_pid, &space),
			 0);
	return space;
}
