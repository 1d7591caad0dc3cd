/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the profile in memory: what a recording says, with names, and nothing of where it came
 * from. user/capture fills one from a live process, user/profile/pprof.c from a file; user/views
 * reads it. Strings, functions, locations, stacks and samples are each kept once; an id is an
 * index into the profile's own array of them and stays valid until profile_free().
 */
#ifndef PYEBPF_PROFILE_H
#define PYEBPF_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loss.h"
#include "record.h"
#include "state.h"

enum function_kind { KIND_PYTHON, KIND_NATIVE, KIND_KERNEL, KIND_COUNT };

/* Ids 0 of strings is "". All other ids start at 0 as well. */
struct profile_function {
	uint32_t name;
	uint32_t filename;  /* co_filename; of native and kernel functions, the module's path */
	int32_t start_line; /* co_firstlineno; 0 where none is known */
	enum function_kind kind;
};

struct profile_location {
	uint32_t function;
	int32_t line;     /* being run; 0: not known */
	uint64_t address; /* of native and kernel locations */
};

/* Everything by which samples differ. */
struct profile_key {
	uint32_t process; /* index into profile.processes */
	uint32_t tid;
	uint32_t thread;     /* string: the thread's name */
	uint32_t state;      /* enum state */
	uint32_t leaf;       /* enum leaf, of running samples; else LEAF_PYTHON */
	uint32_t syscall;    /* string: its name; 0: none */
	uint32_t target;     /* string; 0: none */
	uint32_t gil_holder; /* string; 0: none */
	uint32_t stack;      /* index into profile.stacks */
};

/*
 * Values are final: what the report and the recording say. Time of state `running` counts as CPU,
 * of every other state as waiting.
 */
struct profile_sample {
	struct profile_key key;
	int64_t ns;
	int64_t waits;
};

/* A call stack: `depth` location ids, innermost first. */
struct profile_stack {
	uint32_t depth;
	uint32_t first; /* index of the first of its location ids in profile.stack_locations */
};

struct profile_process {
	uint32_t pid;
	uint32_t command; /* string: what a user would call it */
	uint32_t python;  /* string: "CPython 3.11.2 (/usr/bin/python3.11)"; 0: unknown */
};

/* A thread's exact ledger: the states' times add up to end_ns - start_ns. */
struct profile_thread {
	uint32_t process; /* index into profile.processes */
	uint32_t tid;
	uint32_t name;    /* string */
	int64_t start_ns; /* from the start of the recording */
	int64_t end_ns;
	int64_t ns[STATE_COUNT];
	int64_t waits[STATE_COUNT];
};

/* What else a reader needs to repeat or judge the recording. Strings are ids, 0: unknown. */
struct profile_facts {
	uint32_t command_line; /* of pyebpf */
	uint32_t host;
	uint32_t kernel;
	uint32_t version;   /* of pyebpf */
	uint32_t wait_hook; /* the kernel hook at which waits were captured */
	int64_t start_unix_ns;
	int64_t duration_ns;
	uint32_t rate_hz;
	uint64_t captured; /* samples taken */
	uint64_t lost[LOSS_COUNT];
	int64_t profiler_cpu_ns;
	int64_t profiler_rss_bytes;
};

struct profile_index; /* the hash tables behind the arrays; private to profile.c */

/* The arrays may be read by anybody, and are changed only through the functions below. */
struct profile {
	char **strings;
	struct profile_function *functions;
	struct profile_location *locations;
	struct profile_stack *stacks;
	uint32_t *stack_locations;
	struct profile_sample *samples;
	struct profile_process *processes;
	struct profile_thread *threads;
	uint32_t string_count, function_count, location_count, stack_count, sample_count;
	uint32_t process_count, thread_count;
	struct profile_facts facts;
	struct profile_index *index;
};

/* Returns a new profile, to be freed by profile_free(); NULL: no memory. */
struct profile *profile_new(void);
void profile_free(struct profile *profile);

/*
 * Each of these finds or adds an item and stores its id. Return 0, or -ENOMEM with *id untouched.
 * Strings must be valid UTF-8 and are copied.
 */
int profile_string(struct profile *profile, const char *text, uint32_t *id);
int profile_function(struct profile *profile, const struct profile_function *function,
		     uint32_t *id);
int profile_location(struct profile *profile, const struct profile_location *location,
		     uint32_t *id);
int profile_stack(struct profile *profile, const uint32_t *locations, uint32_t depth, uint32_t *id);

/* Finds or adds the sample of this key, with values 0 when new, and stores its index. */
int profile_sample(struct profile *profile, const struct profile_key *key, uint32_t *id);

/* These always add one. Return 0 or -ENOMEM. */
int profile_process(struct profile *profile, const struct profile_process *process, uint32_t *id);
int profile_thread(struct profile *profile, const struct profile_thread *thread);

/* Changes what is known of a process. */
void profile_process_set(struct profile *profile, uint32_t id,
			 const struct profile_process *process);

/* The innermost Python location of a stack: the one its time is charged to. -1: it has none. */
int64_t profile_stack_owner(const struct profile *profile, uint32_t stack);

#endif
