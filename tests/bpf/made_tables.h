/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns unwind tables and lists of ranges that tests make up, in the form that include/unwind.h
 * describes, and the chunks of the kernel's that hold them. Nothing is shared with what makes the
 * product's tables. Leaves walking by them to made_native.h.
 */
#ifndef PYEBPF_TESTS_MADE_TABLES_H
#define PYEBPF_TESTS_MADE_TABLES_H

#include "run.h"
#include "unwind.h"

#define MADE_ROWS_MAX  131072
#define MADE_RULES_MAX 10000

struct made_row {
	uint64_t address; /* virtual */
	uint32_t rule;
};

/* A table as a test thinks of it. Rows are those of the table's own form: see made_table_row(). */
struct made_table {
	struct unwind_rule rules[MADE_RULES_MAX];
	struct made_row rows[MADE_ROWS_MAX];
	uint32_t rule_count, row_count;
	uint64_t first_page;
	uint32_t page_count;
};

/* Empties a table, and says which pages it is to have. */
void made_table_begin(struct made_table *table, uint64_t first_page, uint32_t page_count);

/* Returns the rule's number in the table. */
uint32_t made_table_rule(struct made_table *table, struct unwind_rule rule);

/* Rows come in ascending order. That a page should have one at its start is left to the test. */
void made_table_row(struct made_table *table, uint64_t address, uint32_t rule);

/* The number of the rule at an address as the form has it, found row by row; -1: none. */
int64_t made_table_find(const struct made_table *table, uint64_t address);

/* Returns how many blocks a table takes, and the blocks, which the caller frees. */
uint32_t made_table_blocks(const struct made_table *table, struct unwind_block **blocks);

/*
 * The chunks of one run: maps that the programs search, whose blocks hold garbage until they are
 * written. To make one known takes the kernel milliseconds, so tests write to the same again.
 */
#define CHUNK_BLOCKS 2048
enum made_chunk { CHUNK_TABLES = 1, CHUNK_RANGES = 7 }; /* numbers of the product's map of chunks */

struct made_chunks {
	struct run *run;
	int tables, ranges; /* descriptors */
};

void made_chunks_new(struct made_chunks *chunks, struct run *run);

/* Has the programs not know of them any more, nor of any address space. */
void made_chunks_free(struct made_chunks *chunks);

/* Overwrites blocks, from number `first` on. */
void made_chunk_write(int descriptor, uint32_t first, const void *blocks, uint32_t count);

/* Writes a table to CHUNK_TABLES, from block `first` on. */
void made_chunks_add_table(struct made_chunks *chunks, uint32_t first,
			   const struct made_table *table);

/* Writes a list to CHUNK_RANGES, from block `first` on. */
void made_chunks_add_ranges(struct made_chunks *chunks, uint32_t first,
			    const struct unwind_range *ranges, uint32_t count);

/* Tells the programs of the process that runs this test. */
void made_space_set(struct run *run, const struct address_space *space);
struct address_space made_space_get(const struct run *run);

#endif
