/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns a native program that a test makes up: functions, each with the unwind rule of its frames,
 * in one file, and a stack that the test fills. None of its code exists, for the programs in the
 * kernel never look at any. Leaves tables to made_tables.h, Python frames to made_python.h.
 */
#ifndef PYEBPF_TESTS_MADE_NATIVE_H
#define PYEBPF_TESTS_MADE_NATIVE_H

#include "made_python.h"
#include "made_tables.h"

#define MADE_FILE       5
#define MADE_BIAS       0x7e1200340000ULL /* process address - virtual address */
#define FUNCTION_BYTES  256
#define FUNCTIONS_START 0x410000ULL /* virtual */
#define FUNCTION_PAGES  16
#define TABLE_BLOCK     3 /* where in their chunks the table and the list begin */
#define LIST_BLOCK      2
#define STACK_PAGES     64
#define STACK_START     0x1000 /* where in the stack's memory walks begin, if not told otherwise */
#define CALL_AT         32     /* where in a function its calls return to */

struct made_native {
	struct run *run;
	struct made_chunks chunks;
	struct made_table *table;
	struct process_config config; /* of the process; at first without an interpreter */
	struct address_space space;
	struct made_registers at; /* those with which the walk begins */
	uint64_t stack;           /* nothing below it can be read, ... */
	uint64_t stack_end;       /* ... nor from here on */
	uint32_t function_count;
};

/* Makes a program without functions; its stack holds no address, and the walk begins in it. */
void made_native_new(struct made_native *native, struct run *run);
void made_native_free(struct made_native *native);

/* Has it checked from the viewpoint of the run that is the test's state. */
void made_native_each(void **state, void (*check)(struct made_native *native));

/* Forgets the functions and what is on the stack, and resets the run. */
void made_native_reset(struct made_native *native);

/* Returns the address of a function whose frames all have this rule. */
uint64_t made_function(struct made_native *native, struct unwind_rule rule);

/* Tells the programs of it. What a walk has learnt of the process is forgotten. */
void made_native_use(struct made_native *native);

/* Takes a sample of the calling thread, as if it were in this program. */
void made_native_walk(struct made_native *native);

/* Both. */
void made_native_run(struct made_native *native);

/* What a sample has of an address of the program's file. */
uint64_t native_word(uint64_t address);

/* The same, if the address is that to which a function's call returns. */
uint64_t native_caller_word(uint64_t address);

/* The native frames of the only or last sample. */
const uint64_t *sample_words(const struct run *run);

/* Fails the test unless the last sample has these native frames, with the flags. */
void expect_native(const struct run *run, uint32_t flags, uint32_t count, const uint64_t *words);

/* A word of the stack. */
void made_stack_word(uint64_t address, uint64_t value);

#endif
