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

/* Id 0 of strings is "", of modules none. All other ids start at 0 as well. */

/*
 * A file of machine code. Files of one path can differ (replaced while it was mapped, of another
 * container): the build-id tells them apart.
 */
struct profile_module {
	uint32_t path;     /* string */
	uint32_t build_id; /* string, hexadecimal; 0: it has none */
};

struct profile_function {
	uint32_t name;
	/*
	 * co_filename; of a native function a source file, where known, else the path of its
	 * module; of a kernel function the kernel's module. Code of several sources (what was
	 * inlined) gives several native functions of one name and module: summary.h has them as one
	 */
	uint32_t filename;
	int32_t start_line; /* co_firstlineno; 0 where none is known */
	enum function_kind kind;
	uint32_t module; /* of a native function; 0: its code is in no file */
};

struct profile_location {
	uint32_t function;
	int32_t line; /* of the function's `filename`, being run; 0: not known */
	/* Native: virtual address in the module; kernel: in memory. 0: Python, or not known. */
	uint64_t address;
};

/* Above this no wait is. 2^62 ns are 146 years. */
#define PROFILE_LENGTH_MAX 62

/* Everything by which samples differ. */
struct profile_key {
	uint32_t process; /* index into profile.processes */
	uint32_t tid;
	uint32_t thread;     /* string: the thread's name */
	uint32_t state;      /* enum state */
	uint32_t leaf;       /* enum leaf, of running samples; else LEAF_PYTHON */
	uint32_t syscall;    /* string: its name; 0: none */
	uint32_t target;     /* string; 0: none */
	uint32_t gil_holder; /* string: `function (file:first line)`; 0: none */
	uint32_t waker;      /* string: who ended the wait, the same or a thread's name; 0: none */
	uint32_t length;     /* of its waits: below 1 << length ns each; 0: not known */
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
	int64_t longest_ns; /* the longest of its waits that was captured */
	/* Messages sent and received on the socket `target`, by samples that stand for several. */
	int64_t sends;
	int64_t receives;
	int64_t grown_bytes; /* by which resident memory has grown; only with --memory */
};

/* How the collections of a process were seen. */
enum gc_source { GC_UNKNOWN, GC_USDT, GC_UPROBE, GC_SAMPLED, GC_SOURCE_COUNT };

#define GC_GENERATIONS 3

/*
 * The garbage collections of a process: those that began and ended in the recording. GC_SAMPLED has
 * no longest one, and the rest from samples alone where the interpreter's own counters do not tell.
 */
struct profile_gc {
	enum gc_source source;
	uint64_t collections[GC_GENERATIONS];
	int64_t ns;
	int64_t longest_ns;
	bool counted; /* GC_SAMPLED: the interpreter has counted `collections`, else not known */
	bool timed;   /* GC_SAMPLED: the interpreter has measured `ns`, else it is of samples */
};

/*
 * A function that exchanges many messages with one target while one call of another is under way:
 * the N+1 queries of a view. `calls` are the calls of `caller` in which it did so at least twice; 0:
 * several, which could not be told apart.
 */
struct profile_repeat {
	uint32_t process;  /* index into profile.processes */
	uint32_t caller;   /* function, of Python */
	uint32_t function; /* function, of Python */
	uint32_t location; /* in `caller`, of the call that led there most often */
	uint32_t target;   /* string */
	uint64_t calls;
	uint64_t sends; /* in these calls together */
	uint64_t most;  /* in one of them */
	bool at_least;  /* no call was seen as a whole: they have more messages than that */
};

/* A call stack: `depth` location ids, innermost first. */
struct profile_stack {
	uint32_t depth;
	uint32_t first; /* index of the first of its location ids in profile.stack_locations */
};

struct profile_process {
	uint32_t pid;
	uint32_t command;   /* string: what a user would call it */
	uint32_t python;    /* string: "CPython 3.11.2 (/usr/bin/python3.11)"; 0: unknown */
	uint32_t container; /* string: its id, or its name where it has none; 0: none */
	uint32_t cgroup;    /* string: path, "/system.slice/nginx.service"; 0: unknown */
	struct profile_gc gc;
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
	uint64_t sends, receives; /* messages on sockets, all of them; not kept in a file */
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
	/* The unwind tables of native stacks. tables 0: none were made. */
	uint32_t tables;            /* one for each file */
	int64_t table_bytes;        /* of the tables, in the kernel */
	int64_t table_source_bytes; /* of the .eh_frame sections that they were made of */
	int64_t tables_ready_ns;    /* from the command's start until the first files had theirs */
};

struct profile_index; /* the hash tables behind the arrays; private to profile.c */

/* The arrays may be read by anybody, and are changed only through the functions below. */
struct profile {
	char **strings;
	struct profile_module *modules;
	struct profile_function *functions;
	struct profile_location *locations;
	struct profile_stack *stacks;
	uint32_t *stack_locations;
	struct profile_sample *samples;
	struct profile_process *processes;
	struct profile_thread *threads;
	struct profile_repeat *repeats;
	uint32_t string_count, module_count, function_count, location_count, stack_count;
	uint32_t sample_count, process_count, thread_count, repeat_count;
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
int profile_module(struct profile *profile, uint32_t path, uint32_t build_id, uint32_t *id);
int profile_function(struct profile *profile, const struct profile_function *function,
		     uint32_t *id);
int profile_location(struct profile *profile, const struct profile_location *location,
		     uint32_t *id);
int profile_stack(struct profile *profile, const uint32_t *locations, uint32_t depth, uint32_t *id);

/*
 * Forgets all stacks, whose ids mean nothing any more. For profiles without samples that live
 * long: stacks are what grows without bounds.
 */
void profile_forget_stacks(struct profile *profile);

/* Finds or adds the sample of this key, with values 0 when new, and stores its index. */
int profile_sample(struct profile *profile, const struct profile_key *key, uint32_t *id);

/* These always add one. Return 0 or -ENOMEM. */
int profile_process(struct profile *profile, const struct profile_process *process, uint32_t *id);
int profile_thread(struct profile *profile, const struct profile_thread *thread);
int profile_repeat(struct profile *profile, const struct profile_repeat *repeat);

/* Changes what is known of a process. */
void profile_process_set(struct profile *profile, uint32_t id,
			 const struct profile_process *process);

/* The innermost Python location of a stack: the one its time is charged to. -1: it has none. */
int64_t profile_stack_owner(const struct profile *profile, uint32_t stack);

/* Whether a function stands for a garbage collection: "<gc generation 0>", or "<gc>". */
bool profile_is_collection(const struct profile *profile, uint32_t function);

/*
 * Whether the stack is of a garbage collection or what it has called; *collector: the location of
 * the Python function that set it off, -1: there is none.
 */
bool profile_stack_collects(const struct profile *profile, uint32_t stack, int64_t *collector);

/* The name of native functions in no file that nothing names. */
#define PROFILE_GENERATED "[generated code]"

/*
 * Whether a function is none, but a frame that tells of a stack: "[stack cut]". Notices are native
 * functions without a module and a file, named in brackets.
 */
bool profile_is_notice(const struct profile *profile, uint32_t function);

/* The file that a function's code is in: co_filename, a module's path, the kernel's module, "". */
const char *profile_code_file(const struct profile *profile, uint32_t function);

#endif
