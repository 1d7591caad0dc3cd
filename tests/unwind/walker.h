/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the product's side of the comparison: its tables, given to its walk over native frames in
 * the kernel: the tables go to the maps of the comparison's own program, walk.bpf.c.
 */
#ifndef PYEBPF_TESTS_WALKER_H
#define PYEBPF_TESTS_WALKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "stack.h"
#include "unwind.h"

struct walker;

/* Loads the program. Returns 0 or -errno with a sentence. */
int walker_open(struct walker **walker, struct error *error);
void walker_close(struct walker *walker);

/* From now on it is about this process. Returns 0 or -errno. */
int walker_set_process(struct walker *walker, pid_t pid);

/* Reads what the process maps, and makes all tables that are missing. */
void walker_update(struct walker *walker);

/*
 * Walks a stopped thread, or all of the process if `tid` is 0. Stores up to `room` stacks and
 * returns how many, or -errno.
 */
int walker_take(struct walker *walker, pid_t tid, struct stack *stacks, size_t room);

/* What is mapped at an address; NULL: no code. Valid until walker_update(). */
const struct unwind_range *walker_find(const struct walker *walker, uint64_t address);

/* Writes what the rule at a frame of a stack is. */
void walker_describe_rule(const struct walker *walker, uint64_t word, char *text, size_t size);

#endif
