/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns how a dump is taken: threads that are away are looked at by the kernel side in one go, those
 * that run are sampled on their CPUs; that is repeated until each has been met once.
 */
#include "live/dump.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "capture/capture.h"
#include "clock.h"
#include "live/futex_wait.h"
#include "live/gil.h"
#include "live/locks.h"
#include "profile/table.h"
#include "profile/utf8.h"
#include "python/text.h"

#define LOOK_EVERY_MS 20

/* Finds a thread of the dump by its id, while samples come in. */
struct seek {
	uint32_t tid;
	uint32_t index;
	UT_hash_handle hh;
};

struct taking {
	struct capture *capture;
	struct dump *dump;
	struct seek *seeks; /* one for each thread of the dump, in its order */
	struct seek *by_tid;
	uint32_t missing;   /* threads not looked at yet */
	bool looking;       /* what comes in from now on is of the dump's moment or later */
	uint64_t looked_ns; /* end of the first look; who was not away then is met on a CPU later */
	struct gils *before, *after; /* the first look, one for each process of the profile */
};

/* How long the thread has been away. A wait for the GIL is made of many, see bpf/wait.bpf.h. */
static int64_t length_of(const struct sample_record *sample)
{
	if (sample->state == STATE_RUNNING || (sample->state == STATE_GIL && sample->continued))
		return -1;
	return (int64_t)(sample->state == STATE_RUNQUEUE ? sample->runqueue_length_ns
							 : sample->length_ns);
}

/* A recorder_sample_watcher: keeps the first sample of each thread that tells where it is. */
static bool sample_take(void *context, const struct sample_record *sample,
			const struct profile_key *key)
{
	struct taking *taking = context;
	struct dump_thread *thread;
	struct seek *seek;

	HASH_FIND(hh, taking->by_tid, &sample->tid, sizeof(sample->tid), seek);
	if (!seek || !taking->looking || sample->flags & SAMPLE_UNREAD)
		return true;
	/* Others are of waits that have ended. */
	if (!(sample->flags & SAMPLE_LOOK) &&
	    (sample->state != STATE_RUNNING || sample->time_ns < taking->looked_ns))
		return true;
	thread = &taking->dump->threads[seek->index];
	if (thread->read)
		return true;
	thread->read = true;
	thread->key = *key;
	thread->length_ns = length_of(sample);
	thread->python_thread = sample->python_thread;
	taking->missing--;
	return true;
}

static void thread_ignore(void *context, const struct thread_record *thread, uint32_t process)
{
}

static int name_read(const struct taking *taking, pid_t pid, struct dump_thread *thread)
{
	char path[64], *bytes, *text;
	size_t size;
	int error;

	snprintf(path, sizeof(path), "/proc/%d/task/%" PRIu32 "/comm", (int)pid, thread->tid);
	if (file_read_whole(path, COMM_SIZE * 4, &bytes, &size))
		return 0;
	error = text_from_bytes(bytes, strcspn(bytes, "\n"), &text);
	free(bytes);
	if (error)
		return error;
	error = profile_string(taking->capture->profile, text, &thread->key.thread);
	free(text);
	return error;
}

/* The letter behind the last parenthesis of /proc/PID/task/TID/stat; 0: the thread is gone. */
static char state_letter(pid_t pid, uint32_t tid)
{
	char path[64], *text, *found, letter = 0;
	size_t size;

	snprintf(path, sizeof(path), "/proc/%d/task/%" PRIu32 "/stat", (int)pid, tid);
	if (file_read_whole(path, 4096, &text, &size))
		return 0;
	found = strrchr(text, ')');
	if (found && found[1] == ' ')
		letter = found[2];
	free(text);
	return letter == 'X' || letter == 'Z' ? 0 : letter;
}

static int thread_add(struct taking *taking, uint32_t process, pid_t pid, uint32_t tid)
{
	struct dump *dump = taking->dump;
	struct dump_thread *threads =
		array_grow(dump->threads, dump->thread_count, sizeof(*threads));
	struct dump_thread *thread;

	if (!threads)
		return -ENOMEM;
	dump->threads = threads;
	thread = &threads[dump->thread_count++];
	*thread =
		(struct dump_thread){.tid = tid, .length_ns = -1, .lock = {.holder = DUMP_NOBODY}};
	thread->key.process = process;
	thread->key.tid = tid;
	if (thread_switches_read(pid, tid, &thread->switches))
		thread->switches = UINT64_MAX;
	return name_read(taking, pid, thread);
}

static int threads_list(struct taking *taking, uint32_t process)
{
	const struct process_config *config;
	const struct process *target = targets_process(taking->capture->targets, process, &config);
	struct dirent *entry;
	char path[32];
	DIR *directory;
	int error = 0;

	if (!target)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)target->pid);
	directory = opendir(path);
	if (!directory)
		return 0;
	while (!error && (entry = readdir(directory)))
		if (*entry->d_name != '.')
			error = thread_add(taking, process, target->pid,
					   (uint32_t)strtoul(entry->d_name, NULL, 10));
	closedir(directory);
	return error;
}

static int threads_order(const void *left, const void *right, void *context)
{
	const struct dump_thread *one = left, *other = right;
	const struct profile *profile = context;
	bool first, other_first;

	if (one->key.process != other->key.process)
		return one->key.process < other->key.process ? -1 : 1;
	first = one->tid == profile->processes[one->key.process].pid;
	other_first = other->tid == profile->processes[other->key.process].pid;
	if (first != other_first)
		return first ? -1 : 1;
	return one->tid < other->tid ? -1 : one->tid > other->tid;
}

static int threads_begin(struct taking *taking)
{
	struct profile *profile = taking->capture->profile;
	struct dump *dump = taking->dump;
	uint32_t i;
	int error = 0;

	for (i = 0; !error && i < profile->process_count; i++)
		error = threads_list(taking, i);
	if (error)
		return error;
	if (dump->thread_count)
		qsort_r(dump->threads, dump->thread_count, sizeof(*dump->threads), threads_order,
			profile);
	taking->seeks = calloc(dump->thread_count + 1, sizeof(*taking->seeks));
	if (!taking->seeks)
		return -ENOMEM;
	for (i = 0; i < dump->thread_count; i++) {
		struct seek *seek = &taking->seeks[i];

		*seek = (struct seek){.tid = dump->threads[i].tid, .index = i};
		HASH_ADD(hh, taking->by_tid, tid, sizeof(seek->tid), seek);
	}
	taking->missing = dump->thread_count;
	return 0;
}

static void gils_look(const struct taking *taking, struct gils *gils)
{
	const struct process_config *config;
	uint32_t i;

	for (i = 0; i < taking->capture->profile->process_count; i++) {
		const struct process *process =
			targets_process(taking->capture->targets, i, &config);

		if (process)
			gils_read(process, config, &gils[i]);
	}
}

/* Threads that have ended since they were listed are not missing. */
static void threads_check(struct taking *taking)
{
	const struct profile *profile = taking->capture->profile;
	uint32_t i;

	for (i = 0; i < taking->dump->thread_count; i++) {
		struct dump_thread *thread = &taking->dump->threads[i];
		uint32_t pid = profile->processes[thread->key.process].pid;

		if (thread->read || !thread->tid || state_letter((pid_t)pid, thread->tid))
			continue;
		HASH_DEL(taking->by_tid, &taking->seeks[i]);
		thread->tid = 0;
		taking->missing--;
	}
}

/* Looks until each thread was met, or the time is over. */
static int threads_look(struct taking *taking, struct error *error)
{
	struct session *session = taking->capture->session;
	uint64_t end = clock_now_ns() + DUMP_LIMIT_MS * 1000000ULL, next;
	int result;

	session_consume(session);
	taking->looking = true;
	gils_look(taking, taking->before);
	taking->looked_ns = UINT64_MAX;
	result = session_look(session);
	taking->looked_ns = clock_now_ns();
	gils_look(taking, taking->after);
	while (!result) {
		next = clock_now_ns() + LOOK_EVERY_MS * 1000000ULL;
		session_consume(session);
		threads_check(taking);
		while (taking->missing && clock_now_ns() < next)
			capture_wait(taking->capture, NULL, 0, 2);
		if (!taking->missing || clock_now_ns() >= end)
			return 0;
		result = session_look(session);
	}
	return error_set(error, result, "cannot look at the threads: %s", strerror(-result));
}

/* Leaves out those that have ended; of those never met, /proc still tells whether they run. */
static void threads_settle(struct taking *taking)
{
	const struct profile *profile = taking->capture->profile;
	struct dump *dump = taking->dump;
	uint32_t i, kept = 0;

	for (i = 0; i < dump->thread_count; i++) {
		struct dump_thread thread = dump->threads[i];
		uint32_t pid = profile->processes[thread.key.process].pid;

		if (!thread.tid)
			continue;
		if (!thread.read)
			thread.key.state = state_letter((pid_t)pid, thread.tid) == 'R'
						   ? STATE_RUNNING
						   : STATE_OTHER;
		dump->threads[kept++] = thread;
	}
	dump->thread_count = kept;
}

static struct dump_thread *holder_find(struct dump *dump, uint32_t process, uint64_t python_thread)
{
	uint32_t i;

	for (i = 0; python_thread && i < dump->thread_count; i++)
		if (dump->threads[i].key.process == process &&
		    dump->threads[i].python_thread == python_thread)
			return &dump->threads[i];
	return NULL;
}

/*
 * Who held a GIL when the threads were looked at. It may have gone from one to another meanwhile:
 * of the two, who waited for it did not have it.
 */
static struct dump_thread *gil_holder(const struct taking *taking, uint32_t process, uint32_t which)
{
	const struct gil *one = &taking->after[process].all[which];
	const struct gils *before = &taking->before[process];
	struct dump_thread *thread = holder_find(taking->dump, process, one->holder);

	if (thread && thread->key.state != STATE_GIL)
		return thread;
	if (which >= before->count || before->all[which].address != one->address)
		return NULL;
	thread = holder_find(taking->dump, process, before->all[which].holder);
	return thread && thread->key.state != STATE_GIL ? thread : NULL;
}

static void gil_waiters_tell(const struct taking *taking, uint32_t process, const struct gil *gil,
			     struct dump_thread *holder)
{
	const struct process_config *config;
	const struct process *target = targets_process(taking->capture->targets, process, &config);
	struct dump *dump = taking->dump;
	uint32_t i;

	for (i = 0; target && i < dump->thread_count; i++) {
		struct dump_thread *thread = &dump->threads[i];

		if (thread->key.process != process || thread->key.state != STATE_GIL ||
		    gils_of_thread(&taking->after[process], target, config,
				   thread->python_thread) != gil)
			continue;
		thread->lock.kind = LOCK_GIL;
		thread->lock.holder = (uint32_t)(holder - dump->threads);
	}
}

static void gils_settle(const struct taking *taking)
{
	uint32_t process, which;

	for (process = 0; process < taking->capture->profile->process_count; process++) {
		for (which = 0; which < taking->after[process].count; which++) {
			struct dump_thread *holder = gil_holder(taking, process, which);

			if (!holder)
				continue;
			holder->holds_gil = true;
			gil_waiters_tell(taking, process, &taking->after[process].all[which],
					 holder);
		}
	}
}

int dump_take(struct capture *capture, struct dump *dump, struct error *error)
{
	struct taking taking = {.capture = capture, .dump = dump};
	uint32_t processes = capture->profile->process_count;
	int result;

	memset(dump, 0, sizeof(*dump));
	dump->profile = capture->profile;
	taking.before = calloc(processes + 1, sizeof(*taking.before));
	taking.after = calloc(processes + 1, sizeof(*taking.after));
	result = taking.before && taking.after ? threads_begin(&taking) : -ENOMEM;
	if (result) {
		error_set(error, result, "no memory");
		goto out;
	}
	recorder_watch(capture->recorder, sample_take, thread_ignore, &taking);
	result = threads_look(&taking, error);
	recorder_watch(capture->recorder, NULL, NULL, NULL);
	if (result)
		goto out;
	threads_settle(&taking);
	gils_settle(&taking);
	result = locks_find(capture->targets, dump);
	if (result)
		error_set(error, result, "no memory");
out:
	HASH_CLEAR(hh, taking.by_tid);
	free(taking.seeks);
	free(taking.before);
	free(taking.after);
	if (result)
		dump_free(dump);
	return result;
}

void dump_free(struct dump *dump)
{
	free(dump->threads);
	free(dump->cycles);
	free(dump->cycle_threads);
	memset(dump, 0, sizeof(*dump));
}
