/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the work with the BPF programs once they are loaded: the processes they look at, and the way
 * of their records up here. Leaves loading to kernel_side.h, the records' meaning to recorder.h, and
 * which processes to targets.h.
 */
#ifndef PYEBPF_SESSION_H
#define PYEBPF_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/unwind_maps.h"
#include "config.h"
#include "error.h"
#include "loss.h"
#include "record.h"

#define PROCESSES_FEW  1024
#define PROCESSES_MANY 16384

struct session;

/* Takes a record of `bytes` bytes; see include/record.h. Must not keep it. */
typedef void record_handler(void *context, const void *record, size_t bytes);

struct session_options {
	uint32_t rate_hz;
	bool native; /* take native stacks too */
	bool memory; /* sample the growth of resident memory */
	bool many;   /* make room for PROCESSES_MANY processes at a time, else for PROCESSES_FEW */
	enum follow_scope follow;
	uint64_t cgroup; /* with FOLLOW_CGROUP: its id, and the number of its hierarchy */
	uint32_t hierarchy;
	/*
	 * Put no probe into processes, which changes an instruction and a counter of their memory,
	 * and count no messages. The functions that would do so return -EPERM.
	 */
	bool untouched;
	record_handler *handler;
	void *context;
};

/*
 * Loads the programs and attaches all but the samplers. To be released by session_close(). Errors:
 * -EPERM no rights, -ENOTSUP the kernel lacks something that cannot be done without; others.
 */
int session_open(const struct session_options *options, struct session **session,
		 struct error *error);
void session_close(struct session *session);

/*
 * Makes a process known, or changes what is known of it. Threads that begin from now on are
 * recorded; those that are there already once session_enroll() is called. 0, -E2BIG or -errno.
 */
int session_set_process(struct session *session, uint32_t pid, const struct process_config *config);

/* Takes back what session_set_process() said of a process that has ended, if that still holds. */
void session_forget_process(struct session *session, uint32_t pid, uint32_t index);

/*
 * Has a process passed over from now on, with the ledgers of its threads, but not its children. Not
 * if it is known under another index than this one: it runs another program by now.
 */
void session_pass_process(struct session *session, uint32_t pid, uint32_t index);

/* Reads what the kernel side has of a process. Returns 0, -ENOENT or another -errno. */
int session_get_process(const struct session *session, uint32_t pid, struct process_config *config);

/* Says what a program is, for processes that run it from now on. Returns 0 or -errno. */
int session_set_program(struct session *session, const struct program_key *key,
			const struct program_config *program);

/*
 * Probes where the process' interpreter frees code objects; `pid` -1: in all processes that run
 * this file. Returns 0 or -errno.
 */
int session_probe_free(struct session *session, pid_t pid, const char *file, uint64_t offset);

/*
 * Has garbage collections told by the probes of the interpreter in `file`, in the process or, with
 * -1, in all that run this file. Returns 0, -ENOENT: it was built without, or another -errno.
 */
int session_probe_gc(struct session *session, pid_t pid, const char *file);

/* The same by the function that collects, at `offset` of the file. */
int session_probe_collector(struct session *session, pid_t pid, const char *file, uint64_t offset);

/* Begins to count the collections of a process in which probes are. Returns 0 or -errno. */
int session_begin_gc(struct session *session, uint32_t pid);

/* Reads what was counted of such a process, and ends it. Returns 0 or -errno. */
int session_end_gc(const struct session *session, uint32_t pid, struct collections *counts);

/* The maps of unwind tables, valid as long as the session. */
struct unwind_maps session_unwind_maps(const struct session *session);

/* Begins the ledgers of all threads there are in known processes that have none yet. */
int session_enroll(struct session *session, struct error *error);

/* Starts the sampling of running threads on all CPUs. */
int session_start(struct session *session, struct error *error);

/* Hands all records that are there to the handler. Returns how many, or -errno. */
int session_consume(struct session *session);

/*
 * Asks the kernel for the function at one of its addresses: `name`, or `name [module]`. `context`
 * is a struct session (a kernel_namer). Returns 0 or -errno.
 */
int session_name_address(void *context, uint64_t address, char *name, size_t size);

/* A descriptor that is readable when session_consume() should not wait. */
int session_descriptor(const struct session *session);

/*
 * Loads what session_finish() needs. Once, and best after the sampling has begun: it takes as long
 * as half of session_open(). Returns 0 or -errno with a sentence.
 */
int session_prepare_finish(struct session *session, struct error *error);

/*
 * Loads what session_look() needs: best after the sampling has begun. Returns 0 or -errno with a
 * sentence.
 */
int session_prepare_look(struct session *session, struct error *error);

/*
 * The caller keeps what looks from `from_ns` on (CLOCK_MONOTONIC) have said: of a thread that goes on
 * waiting after one of them, later looks send no sample, but a thread record with still_away.
 */
void session_keep_looks(struct session *session, uint64_t from_ns);

/*
 * Has each thread's ledger, as it is now, handed over as a thread record, and of each that is away
 * from its CPU a sample with SAMPLE_LOOK. Returns 0 or -errno.
 */
int session_look(struct session *session);

/*
 * Ends the recording: takes all ledgers (as records), and the stacks of threads that are still
 * away, then detaches everything and hands over the last records.
 */
int session_finish(struct session *session, struct error *error);

/* Adds what the kernel side has lost to the counters. */
void session_count_losses(const struct session *session, uint64_t lost[LOSS_COUNT]);

/* Name of the hook at which waits are captured. */
const char *session_wait_hook(const struct session *session);

#endif
