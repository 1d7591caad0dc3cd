/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the form in which stacks are compared: that of a sample's native frames. */
#ifndef PYEBPF_TESTS_STACK_H
#define PYEBPF_TESTS_STACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loss.h"
#include "record.h"
#include "unwind.h"

struct stack {
	pid_t tid;
	int32_t syscall; /* that the thread is in; -1: none */
	bool whole;      /* it reaches the thread's outermost frame */
	enum loss loss;  /* why it does not; LOSS_COUNT: see `reason` */
	char reason[80];
	uint32_t count;
	uint32_t informed; /* frames up to the first that no call frame information is for */
	uint64_t words[NATIVE_FRAMES_MAX]; /* see include/unwind.h */
};

#endif
