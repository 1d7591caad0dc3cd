/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the form of the tables. Functions are taken in ascending order, so rows come in ascending
 * order too. Where functions overlap, which only damage makes them do, the one that starts last
 * holds, up to its end, as for an unwinder that searches a sorted index; of several with one start
 * the last in the section.
 */
#include "native/unwind_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "native/cfi.h"
#include "profile/table.h"

#define PAGE_MASK    ((1U << UNWIND_PAGE_BITS) - 1)
#define PADDING      16         /* a gap of less bytes only aligns the next function */
#define PAGES_MAX    32768      /* 2 GiB of addresses */
#define PAGES_ALWAYS 1024       /* pages that each table may have; from then on a page needs */
#define PAGE_SOURCE  16         /* so many bytes of .eh_frame */
#define SOURCE_MAX   (1U << 27) /* bytes of .eh_frame that are read into memory */
#define RECENT_BITS  8
#define HEADER_WORDS (sizeof(struct unwind_header) / sizeof(uint32_t))
#define RULE_WORDS   (sizeof(struct unwind_rule) / sizeof(uint32_t))

/* Most rules were met shortly before: a place for each hash, ahead of the table. */
struct recent_rule {
	uint64_t rule;
	uint32_t id;
};

/* What a function adds to, and is taken back if it turns out to be damaged. */
struct progress {
	uint32_t page_count;
	uint32_t row_count;
	uint32_t last; /* rule of the last row */
	uint64_t end;  /* of the last function */
};

struct builder {
	uint32_t *pages; /* index of the first row of each */
	uint32_t *rows;
	struct unwind_rule *rules;
	struct table rule_ids;
	struct recent_rule recent[1 << RECENT_BITS];
	struct progress made;
	uint32_t pages_max;
	uint64_t first_page;
	uint64_t limit; /* start of the next function */
};

static uint64_t page_of(uint64_t address)
{
	return address >> UNWIND_PAGE_BITS;
}

static int rule_add(struct builder *builder, const struct unwind_rule *rule, uint32_t *id)
{
	int added = table_intern(&builder->rule_ids, rule, sizeof(*rule), id, NULL);
	struct unwind_rule *rules;

	if (added <= 0)
		return added;
	if (*id >= UNWIND_RULES_MAX)
		return -E2BIG;
	rules = array_grow(builder->rules, *id, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	builder->rules = rules;
	rules[*id] = *rule;
	return 0;
}

/* Finds or adds a rule, by way of those met last. */
static int rule_number(struct builder *builder, const struct unwind_rule *rule, uint32_t *id)
{
	struct recent_rule *recent;
	uint64_t value;
	int error;

	_Static_assert(sizeof(value) == sizeof(*rule), "a rule is compared as a number");
	memcpy(&value, rule, sizeof(value));
	/* Multiplied by 2^64 / golden ratio; each bit of the rule changes the highest ones. */
	recent = &builder->recent[value * 0x9e3779b97f4a7c15ULL >> (64 - RECENT_BITS)];
	if (recent->rule != value) {
		error = rule_add(builder, rule, &recent->id);
		if (error)
			return error;
		recent->rule = value;
	}
	*id = recent->id;
	return 0;
}

static int row_add(struct builder *builder, uint64_t address, uint32_t rule)
{
	uint32_t *rows = array_grow(builder->rows, builder->made.row_count, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	builder->rows = rows;
	rows[builder->made.row_count++] = (uint32_t)(address & PAGE_MASK) << 16 | rule;
	return 0;
}

static int page_add(struct builder *builder)
{
	uint32_t *pages;

	if (builder->made.page_count == builder->pages_max)
		return -E2BIG;
	pages = array_grow(builder->pages, builder->made.page_count, sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	builder->pages = pages;
	pages[builder->made.page_count++] = builder->made.row_count;
	return 0;
}

/* Adds the pages up to that of `address`. The last rule goes on in them, up to the address. */
static int pages_reach(struct builder *builder, uint64_t address)
{
	uint64_t last_page = page_of(address), page;
	int error = 0;

	if (!builder->made.page_count)
		builder->first_page = last_page;
	if (builder->first_page > UINT32_MAX - PAGES_MAX)
		return -E2BIG;
	while (!error && (page = builder->first_page + builder->made.page_count) <= last_page) {
		bool known = builder->made.last != UNWIND_UNKNOWN;
		bool goes_on = page < last_page ? known : (address & PAGE_MASK) != 0;

		error = page_add(builder);
		if (!error && goes_on)
			error = row_add(builder, 0, builder->made.last);
	}
	return error;
}

/* From `address` on, which is above those of all rows, another rule holds. */
static int rule_begin(struct builder *builder, uint64_t address, uint32_t rule)
{
	bool ends_page = rule == UNWIND_UNKNOWN && !(address & PAGE_MASK);
	int error;

	if (rule == builder->made.last)
		return 0;
	error = pages_reach(builder, ends_page ? address - 1 : address);
	if (!error && !ends_page)
		error = row_add(builder, address, rule);
	builder->made.last = rule;
	return error;
}

static int stretch_add(void *context, uint64_t start, uint64_t end, const struct unwind_rule *rule)
{
	struct builder *builder = context;
	uint32_t id;
	int error;

	if (start >= builder->limit)
		return 0;
	builder->made.end = end < builder->limit ? end : builder->limit;
	error = rule_number(builder, rule, &id);
	return error ? error : rule_begin(builder, start, id);
}

/* Adds the rows of a function, or none if it is damaged: then returns -EINVAL. */
static int function_add(struct builder *builder, const struct cfi *cfi,
			const struct cfi_function *function, uint64_t limit)
{
	struct progress before;
	int error = 0;

	builder->limit = limit;
	if (function->start - builder->made.end >= PADDING)
		error = rule_begin(builder, builder->made.end, UNWIND_UNKNOWN);
	before = builder->made;
	if (!error)
		error = cfi_read_function(cfi, function, stretch_add, builder);
	if (error == -EINVAL)
		builder->made = before;
	return error;
}

static int functions_add(struct builder *builder, const struct cfi *cfi,
			 const struct cfi_functions *functions, uint64_t *damaged)
{
	for (size_t i = 0; i < functions->count; i++) {
		const struct cfi_function *function = &functions->all[i];
		bool is_last = i + 1 == functions->count;
		int error = function_add(builder, cfi, function,
					 is_last ? UINT64_MAX : function[1].start);

		if (error == -EINVAL)
			++*damaged;
		else if (error)
			return error;
	}
	return rule_begin(builder, builder->made.end, UNWIND_UNKNOWN);
}

static uint32_t *words_put(uint32_t *to, const void *from, size_t count)
{
	if (count)
		memcpy(to, from, count * sizeof(*to));
	return to + count;
}

static int blocks_make(const struct builder *builder, struct unwind_table *table)
{
	const struct unwind_header header = {
		.first_page = (uint32_t)builder->first_page,
		.page_count = builder->made.page_count,
		.rules_at = HEADER_WORDS + builder->made.page_count + 1,
		.rows_at = HEADER_WORDS + builder->made.page_count + 1 +
			   builder->rule_ids.count * RULE_WORDS,
	};
	uint64_t words = (uint64_t)header.rows_at + builder->made.row_count;
	uint64_t count = (words + UNWIND_BLOCK_WORDS - 1) / UNWIND_BLOCK_WORDS;
	struct unwind_block *blocks;
	uint32_t *to;

	if (words > UINT32_MAX)
		return -E2BIG;
	blocks = calloc(count, sizeof(*blocks));
	if (!blocks)
		return -ENOMEM;
	to = words_put((uint32_t *)blocks, &header, HEADER_WORDS);
	to = words_put(to, builder->pages, builder->made.page_count);
	to = words_put(to, &builder->made.row_count, 1);
	to = words_put(to, builder->rules, builder->rule_ids.count * RULE_WORDS);
	words_put(to, builder->rows, builder->made.row_count);
	table->blocks = blocks;
	table->block_count = (uint32_t)count;
	table->row_count = builder->made.row_count;
	table->rule_count = builder->rule_ids.count;
	return 0;
}

/* The most pages that a section of a size can have: hostile addresses must not fill memory. */
static uint32_t pages_limit(size_t size)
{
	size_t pages = PAGES_ALWAYS + size / PAGE_SOURCE;

	return pages < PAGES_MAX ? (uint32_t)pages : PAGES_MAX;
}

int unwind_table_make(const uint8_t *bytes, size_t size, uint64_t address,
		      struct unwind_table *table)
{
	const struct cfi cfi = {.bytes = bytes, .size = size, .address = address};
	const struct unwind_rule unknown = {.cfa = UNWIND_UNKNOWN};
	struct unwind_table made = {.source_bytes = size};
	struct builder builder = {.pages_max = pages_limit(size)};
	struct cfi_functions functions;
	uint32_t id;
	int error = cfi_list(&cfi, &functions);

	if (error)
		return error;
	made.damaged = functions.damaged;
	error = rule_add(&builder, &unknown, &id); /* the first: its id is 0 */
	if (!error)
		error = functions_add(&builder, &cfi, &functions, &made.damaged);
	if (!error)
		error = blocks_make(&builder, &made);
	if (!error)
		*table = made;
	free(functions.all);
	free(builder.pages);
	free(builder.rows);
	free(builder.rules);
	table_clear(&builder.rule_ids);
	return error;
}

int unwind_table_make_file(const struct elf_file *file, struct unwind_table *table)
{
	uint64_t address, offset, size;
	int error = cfi_find_section(file, &address, &offset, &size);
	uint8_t *bytes;

	if (error)
		return error;
	if (size > file->size)
		return -EINVAL;
	if (size > SOURCE_MAX)
		return -E2BIG;
	bytes = malloc(size ? size : 1);
	if (!bytes)
		return -ENOMEM;
	error = elf_read(file, offset, bytes, size);
	if (!error)
		error = unwind_table_make(bytes, size, address, table);
	free(bytes);
	return error;
}

void unwind_table_free(struct unwind_table *table)
{
	free(table->blocks);
	memset(table, 0, sizeof(*table));
}

static uint32_t word_at(const struct unwind_table *table, uint32_t at)
{
	uint32_t block = at / UNWIND_BLOCK_WORDS;

	return block < table->block_count ? table->blocks[block].words[at % UNWIND_BLOCK_WORDS] : 0;
}

void unwind_table_find(const struct unwind_table *table, uint64_t address, struct unwind_rule *rule)
{
	uint32_t first_page = word_at(table, 0), page_count = word_at(table, 1);
	uint32_t rules_at = word_at(table, 2), rows_at = word_at(table, 3);
	uint64_t page = page_of(address) - first_page;
	uint32_t low, high, index, words[RULE_WORDS];

	memset(rule, 0, sizeof(*rule));
	if (page_of(address) < first_page || page >= page_count)
		return;
	low = word_at(table, HEADER_WORDS + (uint32_t)page);
	high = word_at(table, HEADER_WORDS + (uint32_t)page + 1);
	if (low >= high)
		return;
	/* The first row of a page is at 0: the one looked for is in low <= row < high. */
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (word_at(table, rows_at + middle) >> 16 <= (address & PAGE_MASK))
			low = middle;
		else
			high = middle;
	}
	index = word_at(table, rows_at + low) & 0xffff;
	for (uint32_t i = 0; i < RULE_WORDS; i++)
		words[i] = word_at(table, rules_at + index * RULE_WORDS + i);
	memcpy(rule, words, sizeof(*rule));
}
