/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns one recorded process: finding its interpreter, telling the kernel side, the recorder and the
 * unwinder of it, describing it to the profile. Leaves which processes there are to targets.h.
 */
#ifndef PYEBPF_TARGET_H
#define PYEBPF_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "capture/collections.h"
#include "capture/recorder.h"
#include "capture/session.h"
#include "error.h"
#include "profile/profile.h"
#include "python/interpreter.h"
#include "python/programs.h"
#include "target/cgroup.h"
#include "target/cgroup_names.h"
#include "target/process.h"

/* What to do with a process in which no interpreter is found. */
enum target_mode {
	TARGET_MUST_BE_PYTHON,    /* refuse it */
	TARGET_MAY_BECOME_PYTHON, /* record its threads' times, and look again at each exec */
	TARGET_ONLY_PYTHON,       /* pass it over, as if it had not been named */
	TARGET_MAY_BE_FOLLOWED    /* the same, but its children are looked at */
};

/* Whether the process goes without saying if it has no Python. */
bool target_mode_is_optional(enum target_mode mode);

/* Whether an error is of a Python that cannot be recorded, now or later. */
bool target_error_is_refusal(int error);

/*
 * Whether a process that has only just begun may be another case in a moment: what lies where its
 * interpreter's data will be is something else until its file is mapped whole.
 */
bool target_error_may_pass(int error);

/* What targets are told to; each may be NULL where it says so. */
struct target_world {
	struct profile *profile;
	struct recorder *recorder;
	struct session *session;
	struct unwinder *unwinder; /* NULL: without native stacks */
	struct programs *programs;
	struct cgroups *cgroups;     /* NULL: none is mounted */
	struct probed_files *probed; /* NULL: probes are put into each process for itself */
	uint32_t flags;              /* enum process_flags of those taken on */
};

struct target {
	struct process process;
	uint32_t index;           /* struct record.process */
	uint32_t profile_process; /* of the profile, once described */
	bool described;
	bool python;
	bool own_program; /* its interpreter is in the file that it runs */
	enum target_mode mode;
	struct collection_watch collections;
	struct process_config config; /* as the kernel side has it, or is to get it */
	struct program_key program;   /* of a followed one: of the exec that it is known from */
	int64_t retry_ms;             /* CLOCK_MONOTONIC at which to look again; 0: no need */
	int64_t begun_ms;             /* at which it was first seen to run its program; 0: before */
	char *command;                /* as the kernel gave it; NULL: to be read from /proc */
	uint64_t cgroup;              /* id (v2) as the kernel gave it; 0: to be read from /proc */
	struct error last;
	UT_hash_handle hh; /* by process.pid */
};

/*
 * Finds the interpreter, and waits until `deadline_ms` (CLOCK_MONOTONIC) for one that is being
 * started. Errors as interpreter_inspect(), with its sentence in target->last.
 */
int target_inspect(const struct target_world *world, struct target *target,
		   struct interpreter *interpreter, int64_t deadline_ms);

/*
 * Describes the program that the process runs now, with this interpreter or NULL, to everybody but
 * the kernel side: target->config is what is to be told there. Returns 0 or -errno.
 */
int target_configure(const struct target_world *world, struct target *target,
		     const struct interpreter *interpreter);

/* Makes `target` what `parent` is: a process that has just forked from it. Returns 0 or -ENOMEM. */
int target_fork(const struct target_world *world, struct target *target,
		const struct target *parent);

/* The process runs another program, of which nothing is known yet but its index. 0 or -errno. */
int target_exec(const struct target_world *world, struct target *target);

/*
 * The same of a program that was seen before: what the kernel side has made of `config`, whose
 * addresses are counted from start_code.
 */
int target_exec_known(const struct target_world *world, struct target *target,
		      const struct process_config *config, const char *python,
		      const struct collection_watch *collections, uint64_t start_code);

/*
 * Stores what is known of the target as that of its program, if the program is the interpreter's
 * own file. Returns 0 or -ENOENT: it is not.
 */
int target_program(const struct target *target, struct program_config *config);

/* Whether the process still runs, with whichever program. */
bool target_alive(const struct target *target);

/* It has no Python: what was recorded of it is left out of the profile. */
void target_drop(const struct target_world *world, struct target *target);

/* Adds to the profile what is known only at the end: garbage collections. */
void target_finish(const struct target_world *world, struct target *target);

/* Releases what the target holds, not the struct. */
void target_release(struct target *target);

/* Interpreters' files in which there are probes already, for all processes that run them. */
struct probed_files *probed_files_new(void); /* NULL: no memory */
void probed_files_free(struct probed_files *files);

#endif
