/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the graph of threads that wait for each other; see locks.h. */
#include "live/locks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "live/futex_wait.h"
#include "live/gil.h"
#include "live/lock_owner.h"
#include "profile/table.h"

#define CYCLE_PAUSE_MS 10 /* between the two looks at a cycle */
#define GIL_ATTEMPTS   20 /* a thread that waits for the GIL runs for a moment every 5 ms */
#define GIL_PAUSE_US   200

/* What a thread waits for, and who holds it, as of one reading. */
struct edge {
	struct dump_lock lock;
	struct futex_wait wait;
	uint64_t gil_holder; /* of LOCK_GIL: address of the holder's PyThreadState */
};

/* What locks know a thread by. 0: not known. */
struct identity {
	uint32_t inner_id; /* gettid() where the thread lives */
	uint64_t ident;    /* its pthread_t */
};

struct locks {
	const struct targets *targets;
	struct dump *dump;
	const struct process *process; /* that all below is of */
	const struct process_config *config;
	uint32_t first, end;         /* its threads */
	struct identity *identities; /* one for each thread of the dump */
	bool identified;             /* those of the process have been read */
	struct maps maps;
	bool maps_read;
	struct edge *edges; /* one for each thread of the dump */
};

static uint32_t thread_by_python(const struct locks *locks, uint64_t python_thread)
{
	uint32_t i;

	for (i = locks->first; python_thread && i < locks->end; i++)
		if (locks->dump->threads[i].python_thread == python_thread)
			return i;
	return DUMP_NOBODY;
}

static const struct identity *identities_of(struct locks *locks)
{
	uint32_t i;

	for (i = locks->first; !locks->identified && i < locks->end; i++) {
		const struct dump_thread *thread = &locks->dump->threads[i];
		struct identity *identity = &locks->identities[i];

		identity->inner_id = thread_inner_id(locks->process->pid, thread->tid);
		if (!thread->python_thread ||
		    process_read(locks->process,
				 thread->python_thread + locks->config->layout.thread_id,
				 &identity->ident, sizeof(identity->ident)))
			identity->ident = 0;
	}
	locks->identified = true;
	return locks->identities;
}

static uint32_t thread_by_inner_id(struct locks *locks, uint32_t id)
{
	const struct identity *identities = identities_of(locks);
	uint32_t i;

	for (i = locks->first; id && i < locks->end; i++)
		if (identities[i].inner_id == id)
			return i;
	return DUMP_NOBODY;
}

static uint32_t thread_by_ident(struct locks *locks, uint64_t ident)
{
	const struct identity *identities = identities_of(locks);
	uint32_t i;

	for (i = locks->first; ident && i < locks->end; i++)
		if (identities[i].ident == ident)
			return i;
	return DUMP_NOBODY;
}

static const struct maps *maps_of(struct locks *locks)
{
	if (!locks->maps_read && maps_read(locks->process, &locks->maps))
		memset(&locks->maps, 0, sizeof(locks->maps));
	locks->maps_read = true;
	return &locks->maps;
}

/* Who holds the lock that is neither the GIL nor, as long as it waits, let go unseen. */
static void owner_read(struct locks *locks, struct edge *edge)
{
	uint64_t ident;
	uint32_t tid;

	if (!mutex_owner_find(locks->process, maps_of(locks), &edge->wait, &tid)) {
		edge->lock.holder = thread_by_inner_id(locks, tid);
		if (edge->lock.holder != DUMP_NOBODY) /* else it is of another process, or none */
			edge->lock.kind = LOCK_MUTEX;
	} else if (!recursive_owner_find(locks->process, locks->config, &edge->wait, &ident)) {
		edge->lock.kind = LOCK_RECURSIVE;
		edge->lock.holder = thread_by_ident(locks, ident);
	}
}

/*
 * A lock's holder is read while the thread waits for it all the time, so it is one at that time;
 * and the thread has not run since before its stack was taken, so the two belong together.
 */
static void lock_edge_read(struct locks *locks, uint32_t thread, struct edge *edge)
{
	uint32_t tid = locks->dump->threads[thread].tid;
	struct futex_wait after;

	if (futex_wait_read(locks->process->pid, tid, &edge->wait) ||
	    edge->wait.switches != locks->dump->threads[thread].switches)
		return;
	owner_read(locks, edge);
	if (edge->lock.kind == LOCK_NONE)
		return;
	if (futex_wait_read(locks->process->pid, tid, &after) ||
	    !futex_wait_same(&edge->wait, &after))
		edge->lock = (struct dump_lock){LOCK_NONE, DUMP_NOBODY};
}

/* Whether the thread could be part of a cycle through the GIL: its holder waits for a lock. */
static bool gil_holder_waits(struct locks *locks, uint32_t thread)
{
	struct gils gils;
	const struct gil *gil;
	uint32_t holder;

	gils_read(locks->process, locks->config, &gils);
	gil = gils_of_thread(&gils, locks->process, locks->config,
			     locks->dump->threads[thread].python_thread);
	holder = gil ? thread_by_python(locks, gil->holder) : DUMP_NOBODY;
	return holder != DUMP_NOBODY && locks->dump->threads[holder].read &&
	       locks->dump->threads[holder].key.state == STATE_LOCK;
}

static void gil_edge_read(struct locks *locks, uint32_t thread, struct edge *edge)
{
	const struct timespec pause = {.tv_nsec = GIL_PAUSE_US * 1000};
	const struct gil *gil = NULL;
	struct gils gils;
	int attempt;

	for (attempt = 0; attempt < GIL_ATTEMPTS && !gil; attempt++) {
		if (attempt)
			nanosleep(&pause, NULL);
		if (futex_wait_read(locks->process->pid, locks->dump->threads[thread].tid,
				    &edge->wait))
			continue;
		gils_read(locks->process, locks->config, &gils);
		gil = gils_find(&gils, locks->config, edge->wait.address);
	}
	if (!gil || !gil->holder)
		return;
	edge->gil_holder = gil->holder;
	edge->lock.holder = thread_by_python(locks, gil->holder);
	edge->lock.kind = edge->lock.holder == thread ? LOCK_NONE : LOCK_GIL;
}

/* Reads what the thread waits for now. edge->lock.kind LOCK_NONE: nothing that is known. */
static void edge_read(struct locks *locks, uint32_t thread, struct edge *edge)
{
	const struct dump_thread *waiter = &locks->dump->threads[thread];

	memset(edge, 0, sizeof(*edge));
	edge->lock.holder = DUMP_NOBODY;
	if (!waiter->read)
		return;
	if (waiter->key.state == STATE_LOCK)
		lock_edge_read(locks, thread, edge);
	else if (waiter->key.state == STATE_GIL && gil_holder_waits(locks, thread))
		gil_edge_read(locks, thread, edge);
}

/*
 * Whether a thread waited for the same lock of the same holder all the time between two readings.
 * Of a lock: it has not run since. Of the GIL: the holder had it both times, and, as the edge of
 * the holder itself shows, has not run since; who waits for the GIL cannot go on without it.
 */
static bool edge_lasts(const struct edge *before, const struct edge *after)
{
	if (before->lock.kind == LOCK_NONE || before->lock.kind != after->lock.kind ||
	    before->lock.holder != after->lock.holder)
		return false;
	if (before->lock.kind == LOCK_GIL)
		return before->gil_holder == after->gil_holder;
	return futex_wait_same(&before->wait, &after->wait) && !before->wait.timed;
}

/*
 * Whether the cycle through the thread is one in truth: nothing of it changes between two
 * readings, so that there was a moment at which all of it was true. No cycle is of the GIL alone:
 * who waits for one does not hold another, since it would let it go first.
 */
static bool cycle_proven(struct locks *locks, uint32_t start)
{
	const struct timespec pause = {.tv_nsec = CYCLE_PAUSE_MS * 1000000};
	uint32_t thread = start, locked = 0;
	struct edge again;

	nanosleep(&pause, NULL);
	do {
		edge_read(locks, thread, &again);
		if (!edge_lasts(&locks->edges[thread], &again))
			return false;
		locked += again.lock.kind != LOCK_GIL;
		thread = again.lock.holder;
	} while (thread != start);
	return locked > 0;
}

static int cycle_add(struct locks *locks, uint32_t start)
{
	struct dump *dump = locks->dump;
	struct dump_cycle *cycles = array_grow(dump->cycles, dump->cycle_count, sizeof(*cycles));
	uint32_t thread = start, *threads;

	if (!cycles)
		return -ENOMEM;
	dump->cycles = cycles;
	cycles[dump->cycle_count] = (struct dump_cycle){dump->cycle_thread_count, 0};
	do {
		threads =
			array_grow(dump->cycle_threads, dump->cycle_thread_count, sizeof(*threads));
		if (!threads)
			return -ENOMEM;
		dump->cycle_threads = threads;
		threads[dump->cycle_thread_count++] = thread;
		cycles[dump->cycle_count].count++;
		thread = locks->edges[thread].lock.holder;
	} while (thread != start);
	dump->cycle_count++;
	return 0;
}

/* Each thread waits for one other at most, so that a way which comes back to itself is a cycle. */
static int cycles_find(struct locks *locks)
{
	uint32_t *visits = calloc(locks->dump->thread_count + 1, sizeof(*visits));
	uint32_t start, thread;
	int error = 0;

	if (!visits)
		return -ENOMEM;
	for (start = locks->first; !error && start < locks->end; start++) {
		for (thread = start; thread != DUMP_NOBODY && !visits[thread];
		     thread = locks->edges[thread].lock.holder)
			visits[thread] = start + 1;
		if (thread != DUMP_NOBODY && visits[thread] == start + 1 &&
		    locks->edges[thread].lock.kind != LOCK_NONE && cycle_proven(locks, thread))
			error = cycle_add(locks, thread);
	}
	free(visits);
	return error;
}

static int process_locks_find(struct locks *locks)
{
	uint32_t i;
	int error;

	for (i = locks->first; i < locks->end; i++) {
		edge_read(locks, i, &locks->edges[i]);
		if (locks->edges[i].lock.kind != LOCK_NONE)
			locks->dump->threads[i].lock = locks->edges[i].lock;
	}
	error = cycles_find(locks);
	maps_free(&locks->maps);
	memset(&locks->maps, 0, sizeof(locks->maps));
	locks->maps_read = false;
	locks->identified = false;
	return error;
}

int locks_find(const struct targets *targets, struct dump *dump)
{
	struct locks locks = {.targets = targets, .dump = dump};
	int error = 0;

	locks.edges = calloc(dump->thread_count + 1, sizeof(*locks.edges));
	locks.identities = calloc(dump->thread_count + 1, sizeof(*locks.identities));
	if (!locks.edges || !locks.identities)
		error = -ENOMEM;
	while (!error && locks.end < dump->thread_count) {
		uint32_t process = dump->threads[locks.end].key.process;

		locks.first = locks.end;
		while (locks.end < dump->thread_count &&
		       dump->threads[locks.end].key.process == process)
			locks.end++;
		locks.process = targets_process(targets, process, &locks.config);
		if (locks.process)
			error = process_locks_find(&locks);
	}
	free(locks.edges);
	free(locks.identities);
	return error;
}
