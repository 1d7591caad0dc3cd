/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns searching what user space has prepared for native stacks: which file lies at an address of
 * a process, and the unwind rule at an address of a file. include/unwind.h describes both.
 */
#ifndef PYEBPF_UNWIND_TABLE_BPF_H
#define PYEBPF_UNWIND_TABLE_BPF_H

#include "config.bpf.h"
#include "kernel.h"

struct unwind_blocks {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP); /* each has as many as it needs */
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct unwind_block));
};

/* The chunks, by number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, UNWIND_CHUNKS_MAX);
	__type(key, __u32);
	__array(values, struct unwind_blocks);
} unwind_chunks __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* process, as in `processes` */
	__type(value, struct address_space);
} address_spaces __weak SEC(".maps");

/* A range, copied: the list it is from may be replaced at any moment. */
static __always_inline int range_read(void *chunk, __u32 start, __u32 index,
				      struct unwind_range *range)
{
	__u32 number = start + index / UNWIND_RANGES_PER_BLOCK;
	struct unwind_block *block = bpf_map_lookup_elem(chunk, &number);
	const struct unwind_range *ranges = (const struct unwind_range *)block;

	if (!block)
		return -1;
	*range = ranges[index % UNWIND_RANGES_PER_BLOCK];
	return 0;
}

/*
 * Finds the range that holds `address`. Returns 0 with *range filled, or -1. This and rule_find()
 * are functions that the verifier checks once.
 */
__weak int range_find(const struct address_space *space, __u64 address, struct unwind_range *range)
{
	__u32 low = 0, high, number, step;
	void *chunk;

	if (!space || !range)
		return -1;
	number = space->ranges.chunk;
	high = space->range_count;
	chunk = bpf_map_lookup_elem(&unwind_chunks, &number);
	if (!chunk)
		return -1;
	for (step = 0; step < 13 && low < high; step++) { /* UNWIND_RANGES_MAX is 1 << 12 */
		__u32 middle = (low + high) / 2;

		if (range_read(chunk, space->ranges.block, middle, range))
			return -1;
		if (address < range->start)
			high = middle;
		else if (address >= range->end)
			low = middle + 1;
		else
			return 0;
	}
	return -1;
}

/* A table: where it is. */
struct table {
	void *chunk;
	__u32 block;
};

static __always_inline int table_word(const struct table *table, __u32 index, __u32 *word)
{
	__u32 number = table->block + index / UNWIND_BLOCK_WORDS;
	const struct unwind_block *block = bpf_map_lookup_elem(table->chunk, &number);

	if (!block)
		return -1;
	*word = block->words[index % UNWIND_BLOCK_WORDS];
	return 0;
}

/* Index of the last of the rows [low, high) that begins at or below `offset`, or low - 1. */
static __always_inline __u32 row_search(const struct table *table, __u32 rows_at, __u32 low,
					__u32 high, __u32 offset)
{
	__u32 step, row;

	for (step = 0; step < UNWIND_PAGE_BITS + 1 && low < high; step++) {
		__u32 middle = (low + high) / 2;

		if (table_word(table, rows_at + middle, &row))
			return 0;
		if (row >> 16 > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low - 1;
}

static __always_inline int rule_read(const struct table *table, __u32 at, struct unwind_rule *rule)
{
	__u32 words[2];

	if (table_word(table, at, &words[0]) || table_word(table, at + 1, &words[1]))
		return -1;
	__builtin_memcpy(rule, words, sizeof(*rule));
	return 0;
}

/* Finds the rule at a virtual address of a file. Returns 0, or -1: there is none. */
__weak int rule_find(__u32 chunk, __u32 block, __u64 address, struct unwind_rule *rule)
{
	struct table table = {.chunk = bpf_map_lookup_elem(&unwind_chunks, &chunk), .block = block};
	const __u32 offset = address & ((1 << UNWIND_PAGE_BITS) - 1);
	__u64 page = address >> UNWIND_PAGE_BITS;
	const struct unwind_block *first;
	struct unwind_header header;
	__u32 low, high, row;

	if (!table.chunk || !rule)
		return -1;
	first = bpf_map_lookup_elem(table.chunk, &block);
	if (!first)
		return -1;
	__builtin_memcpy(&header, first, sizeof(header));
	page -= header.first_page;
	if (page >= header.page_count)
		return -1;
	page += sizeof(header) / sizeof(__u32);
	if (table_word(&table, page, &low) || table_word(&table, page + 1, &high))
		return -1;
	row = row_search(&table, header.rows_at, low, high, offset);
	if (row < low || row >= high || table_word(&table, header.rows_at + row, &row))
		return -1;
	return rule_read(&table, header.rules_at + 2 * (row & 0xffff), rule);
}

#endif
