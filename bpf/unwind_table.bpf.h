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

/*
 * All ones where `value` is below `least`, else 0. In a search a branch would double the ways that
 * the verifier has to follow, at each step. For differences of less than 1 << 63.
 */
static __always_inline __u64 mask_below(__u64 value, __u64 least)
{
	__u64 mask = (__s64)(value - least) >> 63;

	asm volatile("" : "+r"(mask)); /* lest the compiler makes it a branch */
	return mask;
}

static __always_inline const struct unwind_range *range_at(void *chunk, __u32 start, __u32 index)
{
	__u32 number = start + index / UNWIND_RANGES_PER_BLOCK;
	const struct unwind_range *ranges = bpf_map_lookup_elem(chunk, &number);

	return ranges ? &ranges[index % UNWIND_RANGES_PER_BLOCK] : NULL;
}

/*
 * Finds the range that holds `address`. Returns 0 with *range filled, a copy, for the list may be
 * replaced at any moment; or -1. This and rule_find() are functions that the verifier checks once.
 */
__weak int range_find(const struct address_space *space, __u64 address, struct unwind_range *range)
{
	__u32 first = 0, count, number, step;
	const struct unwind_range *found;
	void *chunk;

	if (!space || !range)
		return -1;
	number = space->ranges.chunk;
	count = space->range_count;
	chunk = bpf_map_lookup_elem(&unwind_chunks, &number);
	if (!chunk || !count)
		return -1;
	for (step = 0; step < 12 && count > 1; step++) { /* UNWIND_RANGES_MAX is 1 << 12 */
		__u32 half = count / 2;

		found = range_at(chunk, space->ranges.block, first + half);
		if (!found)
			return -1;
		first += half & ~mask_below(address, found->start);
		count -= half;
	}
	found = range_at(chunk, space->ranges.block, first);
	if (!found)
		return -1;
	*range = *found;
	return address - range->start < range->end - range->start ? 0 : -1;
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

/* Finds the last of `count` rows that begins at or below `offset`. Returns 0, or -1: none does. */
static __always_inline int row_search(const struct table *table, __u32 first, __u32 count,
				      __u32 offset, __u32 *row)
{
	__u32 step;

	if (!count)
		return -1;
	for (step = 0; step < UNWIND_PAGE_BITS && count > 1; step++) {
		__u32 half = count / 2;

		if (table_word(table, first + half, row))
			return -1;
		first += half & ~mask_below(offset, *row >> 16);
		count -= half;
	}
	return table_word(table, first, row) || *row >> 16 > offset ? -1 : 0;
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
	if (row_search(&table, header.rows_at + low, high - low, offset, &row))
		return -1;
	return rule_read(&table, header.rules_at + 2 * (row & 0xffff), rule);
}

#endif
