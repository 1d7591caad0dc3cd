/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns a thread that a test makes up whose native and Python frames belong together: C functions
 * that call the interpreter's loop, which runs Python functions, which call C functions. Made from
 * the innermost frame on, in the way of each of the versions of CPython that differ in it.
 */
#ifndef PYEBPF_TESTS_MADE_CALLS_H
#define PYEBPF_TESTS_MADE_CALLS_H

#include "made_native.h"

#define CALLS_MAX 2048 /* frames of either kind */

/* How a call of the loop is told on the native stack. */
enum made_version {
	MADE_3_10, /* by the address of its instructions; each call runs one frame */
	MADE_3_11, /* by a _PyCFrame */
	MADE_3_12, /* by a frame without code, with a _PyCFrame for the thread alone */
	MADE_3_13, /* by a frame without code */
	MADE_3_15, /* the same, and there is one more such frame that is no call */
	MADE_VERSIONS,
};

/* What the loop's frames are made of. */
#define LOOP_BYTES 160
#define LOOP_JOINT 40 /* of the joint above the stack pointer */
#define LOOP_FP_AT (-2)
#define C_BYTES    48

struct made_calls {
	struct made_native *native;
	struct made_python python;
	enum made_version version;
	uint64_t in_c, in_loop, in_main; /* functions */
	uint64_t sp;                     /* of the frame that is made next */
	uint64_t ip;
	uint64_t return_at; /* where the last frame's return address is; 0: it is in ip */
	uint64_t frame,
		first_frame; /* the last Python frame, to be linked to the next; the first */
	uint64_t cframe, first_cframe;
	uint64_t words[CALLS_MAX]; /* that the sample should have */
	uint64_t codes[CALLS_MAX];
	uint32_t word_count, code_count;
	uint32_t flags; /* that the sample should have */
};

/* Begins anew, with a thread that has no frames. */
void made_calls_begin(struct made_calls *calls, struct made_native *native,
		      enum made_version version);

/* The same with the functions, and all that a walk has learnt, kept: after made_calls_end(). */
void made_calls_again(struct made_calls *calls);

/* Adds a frame of this function with frames of so many bytes; its word is expected. */
void made_calls_function(struct made_calls *calls, uint64_t function, uint32_t bytes);

/* Adds frames of a C function. */
void made_calls_c(struct made_calls *calls, uint32_t count);

/* Adds a call of the loop that runs these Python frames, or none yet. */
void made_calls_loop(struct made_calls *calls, uint32_t python_frames);

/* The same where the walk has lost its way and is taken up at this call. */
void made_calls_loop_taken_up(struct made_calls *calls, uint32_t python_frames);

/* Adds the outermost frame. */
void made_calls_end(struct made_calls *calls);

/* Takes a sample, and fails the test unless it is what was made. */
void made_calls_expect(struct made_calls *calls);

/* Has it checked for each version, from the viewpoint of the run that is the test's state. */
void made_calls_each(void **state, void (*check)(struct made_calls *calls));

#endif
