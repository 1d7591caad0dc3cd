/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the other side of the comparison: stacks as elfutils' libdwfl unwinds them, by all registers
 * and with all that call frame information can say.
 */
#ifndef PYEBPF_TESTS_REFERENCE_H
#define PYEBPF_TESTS_REFERENCE_H

#include <stddef.h>
#include <sys/types.h>

#include "stack.h"
#include "walker.h"

struct reference;

/*
 * Reads what the process maps; all its threads must be stopped, and traced by the caller, whenever
 * something is done with the reference. Returns 0 or -errno.
 */
int reference_open(pid_t pid, const struct walker *walker, struct reference **reference);
void reference_close(struct reference *reference);

/* Takes the stack of a thread. Returns 0, or -ESRCH: it has none. */
int reference_take(struct reference *reference, pid_t tid, struct stack *stack);

/*
 * Writes the file and the function of a frame that was taken last; where there is no symbol, its
 * virtual address. `exact`: with the offset in the function.
 */
void reference_describe(const struct reference *reference, uint32_t frame, bool exact, char *text,
			size_t size);

#endif
