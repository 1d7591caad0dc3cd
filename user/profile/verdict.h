/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a profile means: what bounds each process, and its main causes.
 *
 * The verdict speaks of the threads that did something. A thread is *active* if it ran, or waited
 * on a socket, a file, a page fault or for the GIL, for at least 1/200 of its time; the others only
 * waited, as the idle threads of a pool and a server without clients do.
 *
 * Active threads, too, wait for work. Lock waits inside the standard library's means to hand work
 * to another thread (threading's conditions, events and joins; queues; executors; pools) are
 * *handover*: no contention, and left out of the shares. So are none of the waits in `poll`, but
 * they count as waiting for events, not as I/O: an event loop without work is there. And a server's
 * thread that waits for the next request of a client it holds is idle.
 */
#ifndef PYEBPF_VERDICT_H
#define PYEBPF_VERDICT_H

#include "profile/names.h"
#include "profile/profile.h"
#include "profile/exchanges.h"

enum share {
	SHARE_RUNNING,
	SHARE_RUNQUEUE,
	SHARE_IO,
	SHARE_EVENTS,
	SHARE_LOCK,
	SHARE_GIL,
	SHARE_IDLE,
	SHARE_OTHER,
	SHARE_COUNT
};

struct verdict {
	uint32_t threads;
	uint32_t active;
	uint32_t waited[STATE_COUNT]; /* threads that only waited, by the state they were in most */
	int64_t shares[SHARE_COUNT];  /* ns of active threads */
	int64_t running[LEAF_COUNT];  /* of shares[SHARE_RUNNING], what samples stand for */
	int64_t handover_ns;          /* of active threads, not in shares */
	int64_t charged_ns;           /* of all threads, in any state */
	int64_t existed_ns;           /* of all threads: what charged_ns must come to */
};

/*
 * Time of active threads in a function (or thread) and column; of I/O by state and target too. Many
 * small round trips are one cause with all time that is inside of them, also on a CPU.
 */
struct cause {
	int64_t function; /* the program's own, that led there; -1: no Python function */
	uint32_t thread;  /* string: where there is no function, the thread's name; else 0 */
	enum column column;
	enum state state; /* of I/O */
	uint32_t target;  /* string, of I/O; 0: not known */
	int64_t exchange; /* in verdicts.exchanges: all that this one costs; -1: none */
	int64_t ns;
	int64_t waits;
	int64_t running[LEAF_COUNT];
	/* What had at least half of running[LEAF_NATIVE], as the innermost frame. */
	int64_t native_function; /* -1: no one function, or not known */
	uint32_t native_module;  /* 0: no one module, or not known */
	/* What had at least half of `ns`, likewise; 0: nothing. */
	int32_t line;        /* in the function */
	uint32_t gil_holder; /* string, see struct profile_key */
	uint32_t waker;      /* string */
	int64_t holder_ns, waker_ns;
};

struct verdicts {
	struct verdict *processes; /* one for each of profile.processes */
	struct cause *causes;      /* the largest first; idleness, events and handover left out */
	uint32_t cause_count;
	struct exchanges exchanges;
	bool *active; /* of each sample, whether its thread is */
	int64_t ns;   /* sum of all processes' shares */
};

/* Stores verdicts, to be freed by verdicts_free(). Returns 0 or -ENOMEM. */
int verdicts_make(const struct profile *profile, struct verdicts **verdicts);
void verdicts_free(struct verdicts *verdicts);

/* Fills in the causes of verdicts that have all else. Returns 0 or -ENOMEM. */
int causes_make(const struct profile *profile, struct verdicts *verdicts);

/* Whether a sample is a wait for other threads' work, or for the next request of a client. */
bool verdict_is_handover(const struct profile *profile, const struct profile_sample *sample);
bool verdict_is_client_wait(const struct profile *profile, const struct profile_sample *sample);

/* The time that the shares are of. */
int64_t verdict_ns(const struct verdict *verdict);

/*
 * Return sentences, to be freed by the caller; NULL: no memory. "I/O-bound: 71 % waiting on I/O,
 * 18 % on CPU, 11 % idle. CPU time: 60 % Python, 40 % native code." and "12 threads only waited: lock
 * 9, poll 3." ("" where none did)
 */
char *verdict_text(const struct verdict *verdict);
char *verdict_brief_text(const struct verdict *verdict); /* the first sentence of it */
char *verdict_waited_text(const struct verdict *verdict);

/* The first words of verdict_text(): "I/O-bound". Static. */
const char *verdict_word(const struct verdict *verdict);

#endif
