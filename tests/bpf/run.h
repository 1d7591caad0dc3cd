/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the test programs once they are loaded: running them on the test's own memory, and what
 * arrives from them. Every failure to do that fails the test.
 */
#ifndef PYEBPF_TESTS_RUN_H
#define PYEBPF_TESTS_RUN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loss.h"
#include "mechanisms.h"
#include "mechanisms.skel.h"

/* A short period, so that made-up times stay small: 10 ms. */
#define PERIOD_NS 10000000ULL

/* Who looks at the thread: itself, in a hook, or a program at the end of the recording. */
enum viewpoint { VIEW_OWN, VIEW_OTHER };

struct run {
	struct mechanisms *programs;
	struct ring_buffer *ring;
	struct record **records; /* in the order of their arrival */
	size_t count;
	enum viewpoint viewpoint;
};

/*
 * Loads the programs with a ring of this size, and has the calling thread stay on its CPU, for
 * counters and scratch memory are per CPU. Freed by run_close().
 */
struct run *run_open(enum viewpoint viewpoint, uint32_t ring_bytes);
void run_close(struct run *run);

/* Group set-ups and tear-down for cmocka, with a ring of 4 MiB. */
int run_set_up_own(void **state);
int run_set_up_other(void **state);
int run_tear_down(void **state);

/* Forgets all records, counters, known code objects, processes and what is known of the thread. */
void run_reset(struct run *run);

/* Runs a program in the calling thread; returns what it returns. */
int run_program(struct bpf_program *program);

/* Runs a program of the kind SEC("iter.s/task"). */
void run_iterator(struct bpf_program *program);

/* Takes a sample of the calling thread from the run's viewpoint, and all records that come of it. */
void run_walk(struct run *run);

/* Takes what is in the ring. */
void run_drain(struct run *run);

/* The only or last sample; the test fails if there is none. */
const struct sample_record *run_sample(const struct run *run);

/* The last code record of a code object; NULL: there is none. */
const struct code_record *run_code(const struct run *run, uint64_t code);

size_t run_count(const struct run *run, enum record_kind kind);

/* How often a loss was counted. */
uint64_t run_lost(const struct run *run, enum loss loss);

/* Fails the test unless just these losses were counted: pairs of enum loss and number, then -1. */
void run_expect_losses(const struct run *run, ...);

/* The next number of a fixed sequence (xorshift), so that a failure can be had again. */
uint64_t random_next(uint64_t *seed);

#endif
