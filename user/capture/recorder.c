/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns decoding; see recorder.h. */
#include "capture/recorder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "capture/code_loops.h"
#include "capture/codes.h"
#include "capture/labels.h"
#include "capture/message_totals.h"
#include "capture/native_names.h"
#include "capture/repeats.h"
#include "capture/stack.h"
#include "capture/syscalls.h"
#include "clock.h"
#include "profile/estimate.h"
#include "profile/table.h"
#include "target/listeners.h"

struct process_number {
	uint32_t index;   /* struct record.process */
	uint32_t process; /* of the profile */
	uint64_t text_start;
	struct stack_interpreter interpreter;
	int64_t ended_ms; /* CLOCK_MONOTONIC at which its end was told */
	struct process_number *prev, *next;
	UT_hash_handle hh;
};

#define ENDED_KEPT_MS 1000

struct recorder {
	struct profile *profile;
	struct estimates *estimates;
	struct unwinder *unwinder;
	struct stack_maker stacks;
	struct repeats *repeats;
	struct code_loops *loops;
	struct labels labels;
	struct process_number *numbers;
	recorder_event *event;
	void *event_context;
	recorder_sample_watcher *watch_sample;
	recorder_thread_watcher *watch_thread;
	void *watch_context;
	/*
	 * Those that have ended, the oldest first. The ledgers of their last threads may come after
	 * the end: several CPUs tell of them at once.
	 */
	struct process_number *ended;
	uint32_t *first_threads; /* of the profile, plus 1, by its processes; 0: none yet */
	uint32_t first_thread_count;
	bool *left_out; /* by process of the profile; NULL: none */
	uint32_t left_out_count;
	int error; /* -ENOMEM: something could not be kept */
};

struct recorder *recorder_new(struct profile *profile)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return NULL;
	recorder->profile = profile;
	recorder->estimates = estimates_new(profile);
	recorder->stacks.profile = recorder->labels.profile = profile;
	recorder->stacks.codes = codes_new(profile, profile->facts.lost);
	recorder->labels.codes = recorder->stacks.codes;
	recorder->stacks.kernel = kernel_stacks_new(profile);
	recorder->labels.listeners = listeners_new();
	recorder->repeats = repeats_new(profile);
	recorder->loops = code_loops_new();
	if (recorder->repeats && recorder->loops && recorder->stacks.codes && recorder->estimates &&
	    recorder->stacks.kernel && recorder->labels.listeners)
		return recorder;
	recorder_free(recorder);
	return NULL;
}

void recorder_free(struct recorder *recorder)
{
	struct process_number *number, *next;

	if (!recorder)
		return;
	HASH_ITER (hh, recorder->numbers, number, next) {
		HASH_DEL(recorder->numbers, number);
		free(number);
	}
	codes_free(recorder->stacks.codes);
	kernel_stacks_free(recorder->stacks.kernel);
	native_names_free(recorder->stacks.native);
	repeats_free(recorder->repeats);
	code_loops_free(recorder->loops);
	estimates_free(recorder->estimates);
	listeners_free(recorder->labels.listeners);
	free(recorder->left_out);
	free(recorder->first_threads);
	free(recorder);
}

int recorder_use_native(struct recorder *recorder, const struct modules *modules,
			struct unwinder *unwinder, bool lines)
{
	recorder->stacks.native = native_names_new(recorder->profile, modules, unwinder, lines);
	recorder->stacks.modules = modules;
	recorder->stacks.lost = recorder->profile->facts.lost;
	recorder->unwinder = unwinder;
	return recorder->stacks.native ? 0 : -ENOMEM;
}

int recorder_add_process(struct recorder *recorder, const struct recorder_process *process)
{
	struct process_number *number;
	int error = 0;

	HASH_FIND(hh, recorder->numbers, &process->index, sizeof(process->index), number);
	if (!number) {
		number = calloc(1, sizeof(*number));
		if (!number)
			return -ENOMEM;
		number->index = process->index;
		HASH_ADD(hh, recorder->numbers, index, sizeof(number->index), number);
	}
	number->process = process->number;
	number->text_start = process->text_start;
	number->interpreter = (struct stack_interpreter){.version = process->layout->version};
	if (recorder->stacks.native)
		error = native_names_add_process(recorder->stacks.native, process->process);
	if (!error)
		error = code_loops_add_process(recorder->loops, process->index, process->process,
					       process->layout);
	if (error)
		return error;
	return codes_add_process(recorder->stacks.codes, process->index,
				 process->layout->line_format);
}

static void process_forget(struct recorder *recorder, struct process_number *number)
{
	codes_remove_process(recorder->stacks.codes, number->index);
	code_loops_remove_process(recorder->loops, number->index);
	DL_DELETE(recorder->ended, number);
	HASH_DEL(recorder->numbers, number);
	free(number);
}

void recorder_remove_process(struct recorder *recorder, uint32_t index)
{
	int64_t now = clock_now_ms();
	struct process_number *number;

	while (recorder->ended && recorder->ended->ended_ms < now - ENDED_KEPT_MS)
		process_forget(recorder, recorder->ended);
	HASH_FIND(hh, recorder->numbers, &index, sizeof(index), number);
	if (!number || number->ended_ms)
		return;
	number->ended_ms = now;
	DL_APPEND(recorder->ended, number);
}

void recorder_leave_out(struct recorder *recorder, uint32_t number)
{
	uint32_t count = recorder->profile->process_count;

	if (number >= recorder->left_out_count) {
		bool *grown = realloc(recorder->left_out, 2UL * count * sizeof(bool));

		if (!grown) {
			recorder->error = -ENOMEM;
			return;
		}
		memset(grown + recorder->left_out_count, 0,
		       (2UL * count - recorder->left_out_count) * sizeof(bool));
		recorder->left_out = grown;
		recorder->left_out_count = 2 * count;
	}
	recorder->left_out[number] = true;
}

const bool *recorder_left_out(const struct recorder *recorder, uint32_t *count)
{
	*count = recorder->left_out_count;
	return recorder->left_out;
}

void recorder_name_kernel(struct recorder *recorder, kernel_namer *namer, void *context)
{
	kernel_stacks_name_by(recorder->stacks.kernel, namer, context);
}

void recorder_on_event(struct recorder *recorder, recorder_event *event, void *context)
{
	recorder->event = event;
	recorder->event_context = context;
}

void recorder_watch(struct recorder *recorder, recorder_sample_watcher *samples,
		    recorder_thread_watcher *threads, void *context)
{
	recorder->watch_sample = samples;
	recorder->watch_thread = threads;
	recorder->watch_context = context;
}

static struct process_number *process_find(struct recorder *recorder, const struct record *head)
{
	struct process_number *number;

	HASH_FIND(hh, recorder->numbers, &head->process, sizeof(head->process), number);
	return number;
}

/* The process' interpreter, whose file may be found only some time after the interpreter is. */
static const struct stack_interpreter *interpreter_find(struct recorder *recorder,
							struct process_number *number, uint32_t pid)
{
	const struct unwind_range *range = NULL;

	if (!number->interpreter.file && number->text_start && recorder->unwinder)
		range = unwinder_find(recorder->unwinder, (pid_t)pid, number->text_start);
	if (range)
		number->interpreter.file = range->file;
	return &number->interpreter;
}

static int sample_labels(struct recorder *recorder, const struct sample_record *sample,
			 struct process_number *number, struct profile_key *key)
{
	const char *call = syscall_name(sample->syscall);
	int error;

	memset(key, 0, sizeof(*key));
	key->tid = sample->tid;
	key->state = sample->state;
	key->process = number->process;
	error = label_thread(recorder->profile, sample->comm, &key->thread);
	if (!error && call && sample->state != STATE_RUNNING)
		error = profile_string(recorder->profile, call, &key->syscall);
	return error ? error : label_target(&recorder->labels, sample, &key->target);
}

/* 1 << length is above the wait's nanoseconds, 1 << (length - 1) is not. */
static uint32_t length_class(uint64_t ns)
{
	uint32_t length = 0;

	while (length < 63 && ns >> length)
		length++;
	return length;
}

/*
 * A wait at least as long as the period was captured with certainty and stands for itself. A
 * shorter one of length L that stands for ns was captured with probability L / ns, so that it
 * counts for ns / L waits.
 */
static int wait_add(struct recorder *recorder, struct profile_key *key, uint64_t ns,
		    uint64_t length, uint64_t whole, bool counts)
{
	struct profile_sample *sample;
	int error;

	key->length = length_class(whole);
	error = estimates_find_sample(recorder->estimates, key, &sample);
	if (error)
		return error;
	if ((int64_t)whole > sample->longest_ns)
		sample->longest_ns = (int64_t)whole;
	if (ns == length)
		return estimates_add_exact(recorder->estimates, key, ns, counts);
	return estimates_add_sampled(recorder->estimates, key, ns,
				     counts && length ? (double)ns / length : 0);
}

/* A wait for the GIL, one half for who held it when it began, one for who did when it ended. */
static int gil_wait_add(struct recorder *recorder, const struct sample_record *sample,
			struct profile_key *key)
{
	uint64_t half = sample->ns / 2, length = sample->length_ns / 2;
	bool counts = !sample->continued;
	int error = label_frame(&recorder->labels, sample, &sample->holder[0], &key->gil_holder);

	if (!error)
		error = wait_add(recorder, key, sample->ns - half, sample->length_ns - length,
				 sample->length_ns, counts);
	if (!error)
		error = label_frame(&recorder->labels, sample, &sample->holder[1],
				    &key->gil_holder);
	if (!error)
		error = wait_add(recorder, key, half, length, sample->length_ns, false);
	key->gil_holder = 0;
	return error;
}

static int runqueue_add(struct recorder *recorder, const struct sample_record *sample,
			struct profile_key *key)
{
	int error = 0;

	key->state = STATE_RUNQUEUE;
	key->syscall = 0;
	key->target = 0;
	key->waker = 0;
	if (*sample->ran)
		error = label_thread(recorder->profile, sample->ran, &key->target);
	if (error)
		return error;
	return wait_add(recorder, key, sample->runqueue_ns, sample->runqueue_length_ns,
			sample->runqueue_length_ns, false);
}

/* Follows the calls that a thread's messages are of, by the outermost of its Python frames. */
static int repeats_follow(struct recorder *recorder, const struct sample_record *sample,
			  const struct profile_key *key)
{
	struct repeat_frame frames[REPEAT_FRAMES_MAX];
	struct repeat_message message = {.process = key->process,
					 .tid = key->tid,
					 .number = sample->message_number,
					 .target = key->target,
					 .weight = sample->messages[MESSAGE_SENT],
					 .frames = frames};
	uint32_t count = 0, at;

	if (!message.weight || sample->flags & (SAMPLE_CUT | SAMPLE_BROKEN | SAMPLE_UNREAD))
		return 0;
	for (at = sample->python_count; at-- > 0 && count < REPEAT_FRAMES_MAX; count++) {
		const struct python_frame *frame = &sample->python[at];
		int error = codes_locate(recorder->stacks.codes, sample->head.process, frame,
					 &frames[count].location);

		frames[count].instruction = frame->instruction;
		if (!error)
			error = code_loops_find(recorder->loops, sample->head.process, frame,
						&frames[count].loops);
		if (error)
			return error;
	}
	message.count = count;
	return repeats_observe(recorder->repeats, &message);
}

static int event_add(struct recorder *recorder, const struct sample_record *record,
		     const struct profile_key *key)
{
	struct profile_sample *sample;
	int error = estimates_find_sample(recorder->estimates, key, &sample);

	if (error)
		return error;
	sample->sends += record->messages[MESSAGE_SENT];
	sample->receives += record->messages[MESSAGE_RECEIVED];
	sample->grown_bytes += (int64_t)record->grown_bytes;
	return 0;
}

static int sample_add(struct recorder *recorder, const struct sample_record *sample)
{
	struct process_number *number = process_find(recorder, &sample->head);
	struct profile_key key;
	int error = number ? sample_labels(recorder, sample, number, &key) : -EINVAL;

	if (!error)
		error = stack_make(&recorder->stacks, sample,
				   interpreter_find(recorder, number, sample->head.pid), &key.stack,
				   &key.leaf);
	if (error)
		return error;
	recorder->profile->facts.captured++;
	if (recorder->watch_sample) {
		error = label_frame(&recorder->labels, sample, &sample->holder[1], &key.gil_holder);
		if (error || recorder->watch_sample(recorder->watch_context, sample, &key))
			return error;
		key.gil_holder = 0;
	}
	error = repeats_follow(recorder, sample, &key);
	if (error)
		return error;
	if (sample_is_event(sample))
		return event_add(recorder, sample, &key);
	if (sample->state == STATE_RUNNING)
		return estimates_add_sampled(recorder->estimates, &key, sample->ns, 0);
	error = label_waker(&recorder->labels, sample, &key.waker);
	if (error)
		return error;
	if (sample->ns && sample->state == STATE_GIL)
		error = gil_wait_add(recorder, sample, &key);
	else if (sample->ns)
		error = wait_add(recorder, &key, sample->ns, sample->length_ns, sample->length_ns,
				 !sample->continued);
	if (error || !sample->runqueue_ns)
		return error;
	return runqueue_add(recorder, sample, &key);
}

static int sample_handle(struct recorder *recorder, const struct sample_record *sample,
			 size_t bytes)
{
	size_t head = offsetof(struct sample_record, frames);

	if (bytes < head || sample->kernel_count > KERNEL_FRAMES_MAX ||
	    sample->python_count > PYTHON_FRAMES_MAX || sample->native_count > NATIVE_FRAMES_MAX ||
	    bytes < head + sample->python_count * sizeof(sample->python[0]) +
			    (sample->native_count + sample->kernel_count) * sizeof(uint64_t) ||
	    sample->state >= STATE_COUNT || sample->leaf >= LEAF_COUNT)
		return -EINVAL;
	return sample_add(recorder, sample);
}

static void thread_continue(struct profile_thread *before, const struct profile_thread *thread)
{
	uint32_t state;

	before->end_ns = thread->end_ns;
	before->name = thread->name;
	before->sends += thread->sends;
	before->receives += thread->receives;
	for (state = 0; state < STATE_COUNT; state++) {
		before->ns[state] += thread->ns[state];
		before->waits[state] += thread->waits[state];
	}
}

/*
 * A process' first thread goes on through an exec, and has a ledger from each program. Where these
 * count as one program, as a shell's that only runs another, they are one ledger.
 */
static int first_thread_add(struct recorder *recorder, const struct profile_thread *thread)
{
	struct profile *profile = recorder->profile;
	uint32_t *grown;
	int error;

	while (recorder->first_thread_count <= thread->process) {
		grown = array_grow(recorder->first_threads, recorder->first_thread_count,
				   sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		recorder->first_threads = grown;
		grown[recorder->first_thread_count++] = 0;
	}
	if (recorder->first_threads[thread->process]) {
		thread_continue(&profile->threads[recorder->first_threads[thread->process] - 1],
				thread);
		return 0;
	}
	error = profile_thread(profile, thread);
	if (!error)
		recorder->first_threads[thread->process] = profile->thread_count;
	return error;
}

static int thread_handle(struct recorder *recorder, const struct thread_record *record,
			 size_t bytes)
{
	struct process_number *number;
	struct profile_thread thread = {0};
	uint32_t state;
	int error;

	if (bytes < sizeof(*record))
		return -EINVAL;
	number = process_find(recorder, &record->head);
	if (!number)
		return -EINVAL;
	if (recorder->watch_thread) {
		recorder->watch_thread(recorder->watch_context, record, number->process);
		return 0;
	}
	thread.process = number->process;
	error = label_thread(recorder->profile, record->comm, &thread.name);
	if (error)
		return error;
	thread.tid = record->tid;
	thread.start_ns = record->start_ns;
	thread.end_ns = record->end_ns;
	thread.sends = record->messages[MESSAGE_SENT];
	thread.receives = record->messages[MESSAGE_RECEIVED];
	for (state = 0; state < STATE_COUNT; state++) {
		thread.ns[state] = record->totals[state].ns;
		thread.waits[state] = record->totals[state].waits;
	}
	if (record->tid == record->head.pid)
		return first_thread_add(recorder, &thread);
	return profile_thread(recorder->profile, &thread);
}

static int process_handle(struct recorder *recorder, const struct process_record *record,
			  size_t bytes)
{
	size_t head = offsetof(struct process_record, arguments);

	if (bytes < head || record->arguments_bytes > ARGUMENTS_BYTES_MAX ||
	    bytes < head + record->arguments_bytes)
		return -EINVAL;
	if (recorder->event)
		recorder->event(recorder->event_context, record);
	return 0;
}

static int code_handle(struct recorder *recorder, const struct code_record *record, size_t bytes)
{
	int error = codes_add(recorder->stacks.codes, record, bytes);

	if (!error)
		code_loops_forget(recorder->loops, record->head.process, record->code,
				  record->identity);
	return error;
}

static int record_handle(struct recorder *recorder, const void *record, size_t bytes)
{
	const struct record *head = record;

	if (bytes < sizeof(*head) || head->size > bytes)
		return -EINVAL;
	switch (head->kind) {
	case RECORD_SAMPLE:
		return sample_handle(recorder, record, bytes);
	case RECORD_CODE:
		return code_handle(recorder, record, bytes);
	case RECORD_LINES:
		return codes_add_lines(recorder->stacks.codes, record, bytes);
	case RECORD_THREAD:
		return thread_handle(recorder, record, bytes);
	case RECORD_EXEC:
	case RECORD_EXIT:
	case RECORD_MAPPINGS:
	case RECORD_FORK:
	case RECORD_JOIN:
		return process_handle(recorder, record, bytes);
	}
	return -EINVAL;
}

void recorder_handle(void *context, const void *record, size_t bytes)
{
	struct recorder *recorder = context;
	int error = record_handle(recorder, record, bytes);

	if (error == -EINVAL)
		recorder->profile->facts.lost[LOSS_RECORD_INVALID]++;
	else if (error)
		recorder->error = error;
}

uint64_t recorder_samples(const struct recorder *recorder)
{
	return recorder->profile->facts.captured;
}

/* Where collections were only sampled, so is the time that they took, whatever they waited for. */
static void collections_add(struct profile *profile)
{
	int64_t collector;
	uint32_t i;

	for (i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		struct profile_gc *gc = &profile->processes[sample->key.process].gc;

		if (gc->source == GC_SAMPLED && !gc->timed &&
		    profile_stack_collects(profile, sample->key.stack, &collector))
			gc->ns += sample->ns;
	}
}

int recorder_finish(struct recorder *recorder, uint64_t start_ns)
{
	struct profile *profile = recorder->profile;
	uint32_t i;
	int error = estimates_finish(recorder->estimates);

	for (i = 0; i < profile->thread_count; i++) {
		profile->threads[i].start_ns -= start_ns;
		profile->threads[i].end_ns -= start_ns;
	}
	if (!error)
		error = repeats_finish(recorder->repeats);
	if (!error)
		error = message_totals_fit(profile);
	if (!error)
		collections_add(profile);
	return error ? error : recorder->error;
}
