/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns whether a frame is in a loop of its function, by the bytecode in the process, which is read
 * when a frame is first seen at an instruction. Leaves what bytecode means to python/bytecode.h.
 */
#ifndef PYEBPF_CODE_LOOPS_H
#define PYEBPF_CODE_LOOPS_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"
#include "record.h"
#include "target/process.h"

struct code_loops;

struct code_loops *code_loops_new(void); /* NULL: no memory */
void code_loops_free(struct code_loops *loops);

/* Says where the code of process `index` (struct record.process) is read. 0 or -ENOMEM. */
int code_loops_add_process(struct code_loops *loops, uint32_t index, const struct process *process,
			   const struct python_layout *layout);

/* Nothing will be asked of it any more. */
void code_loops_remove_process(struct code_loops *loops, uint32_t index);

/*
 * A code object was told of: answers for its address and identity (struct python_frame) are those of
 * a former one, and are forgotten.
 */
void code_loops_forget(struct code_loops *loops, uint32_t index, uint64_t code, uint32_t identity);

/* Stores the answer: no, where it cannot be known. Returns 0 or -ENOMEM. */
int code_loops_find(struct code_loops *loops, uint32_t index, const struct python_frame *frame,
		    bool *in_loop);

#endif
