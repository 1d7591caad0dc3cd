/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the interpreter seen from a thread: which PyThreadState is the thread's own, and where the
 * lock is that it needs to run (the GIL). Leaves frames to frames.bpf.h.
 */
#ifndef PYEBPF_PYTHON_BPF_H
#define PYEBPF_PYTHON_BPF_H

#include "config.bpf.h"
#include "memory.bpf.h"
#include "process.bpf.h"
#include "scratch.bpf.h"
#include "thread.bpf.h"

#define PYTHON_THREADS_MAX      16384
#define PYTHON_INTERPRETERS_MAX 256

struct thread_search {
	const struct process_config *process;
	subject_t subject;
	__u64 thread_pointer;
	__u64 interpreter;
	__u64 first;   /* thread state of the thread, in whatever interpreter */
	__u64 running; /* the same, with frames */
	__u64 next;
	__u32 unreadable;
};

static __always_inline __u64 thread_search_link(struct thread_search *search, __u64 address)
{
	__u64 link = 0;

	if (user_read(&link, sizeof(link), address, search->subject)) {
		search->unreadable = 1;
		return 0;
	}
	return link;
}

/* Visits one thread state, or goes on to the next interpreter. */
static long thread_search_step(__u32 index, void *context)
{
	struct thread_search *search = context;
	const struct python_layout *layout = &search->process->layout;
	__u64 thread = search->next;
	__u64 word;

	if (search->unreadable)
		return 1;
	if (!thread) {
		search->interpreter =
			thread_search_link(search, search->interpreter + layout->interpreter_next);
		if (!search->interpreter)
			return 1;
		search->next = thread_search_link(search, search->interpreter +
								  layout->interpreter_threads_head);
		return 0;
	}
	word = thread_search_link(search, thread + layout->thread_id);
	if (search->unreadable)
		return 1;
	if (word == search->thread_pointer) {
		if (!search->first)
			search->first = thread;
		if (user_read_word(thread + layout->thread_frame, search->subject)) {
			search->running = thread;
			return 1;
		}
	}
	search->next = thread_search_link(search, thread + layout->thread_next);
	return 0;
}

/*
 * Looks through all interpreters, newest first, for the thread's own state. A thread that has one
 * in several is in the newest in which it has frames. Fills thread->python_*; returns 0, or -1:
 * it has none, or the lists could not be read (counted).
 */
CHECKED_ONCE int python_thread_search(struct thread *thread, subject_t subject,
				      const struct process_config *process)
{
	const struct python_layout *layout = &process->layout;
	struct thread_search search = {.process = process, .subject = subject};
	__u64 head;
	long steps = 0;

	if (!thread || !process)
		return -1;
	head = thread_search_link(&search, process->runtime + layout->runtime_interpreters_head);
	thread->python_thread = 0;
	search.thread_pointer = thread_pointer_read(subject_task(subject));
	search.interpreter = head;
	if (head)
		search.next = thread_search_link(&search, head + layout->interpreter_threads_head);
	if (head)
		steps = bpf_loop(PYTHON_THREADS_MAX, thread_search_step, &search, 0);
	if (!search.first) {
		if (search.unreadable || steps == PYTHON_THREADS_MAX)
			loss_count(LOSS_THREAD_STATE);
		return -1;
	}
	thread->python_thread = search.running ? search.running : search.first;
	/* With more than one interpreter the thread may move: never trust what was found. */
	thread->python_interpreter =
		user_read_word(head + layout->interpreter_next, subject) ? 0 : head;
	return 0;
}

/*
 * Proves that the PyThreadState that scratch->object holds is the thread's and still in the list:
 * C code that enters Python by PyGILState_Ensure makes a new one each time.
 */
static __always_inline bool python_thread_proven(const struct thread *thread, subject_t subject,
						 const struct process_config *process,
						 const struct scratch *scratch)
{
	const struct python_layout *layout = &process->layout;
	__u64 previous = object_word(scratch, layout->thread_prev);
	__u64 link;

	if (object_word(scratch, layout->thread_id) != thread_pointer_read(subject_task(subject)))
		return false;
	if (previous)
		link = previous + layout->thread_next;
	else
		link = object_word(scratch, layout->thread_interpreter) +
		       layout->interpreter_threads_head;
	return user_read_word(link, subject) == thread->python_thread;
}

static __always_inline int python_thread_read(const struct thread *thread, subject_t subject,
					      const struct process_config *process,
					      struct scratch *scratch)
{
	__u32 bytes = process->layout.thread_size;

	if (bytes > OBJECT_BYTES_MAX)
		return -1;
	return user_read(scratch->object, bytes, thread->python_thread, subject) ? -1 : 0;
}

/* Leaves the thread's own PyThreadState in scratch->object. Returns 0, or -1: it has none. */
static __always_inline int python_thread_load(struct thread *thread, subject_t subject,
					      const struct process_config *process,
					      struct scratch *scratch)
{
	__u64 head = process->runtime + process->layout.runtime_interpreters_head;

	if (thread->python_thread && thread->python_interpreter &&
	    thread->python_interpreter == user_read_word(head, subject) &&
	    !python_thread_read(thread, subject, process, scratch) &&
	    python_thread_proven(thread, subject, process, scratch))
		return 0;
	if (python_thread_search(thread, subject, process))
		return -1;
	return python_thread_read(thread, subject, process, scratch);
}

/*
 * Whether the thread, whose PyThreadState is in scratch->object, is collecting garbage: the flag is
 * the interpreter's, and its thread is the one that holds the GIL.
 */
static __always_inline bool python_collects(const struct thread *thread, subject_t subject,
					    const struct process_config *process,
					    const struct scratch *scratch)
{
	const struct python_layout *layout = &process->layout;
	__u64 interpreter = object_word(scratch, layout->thread_interpreter), gil;

	__u64 collecting = 0;

	if (layout->runtime_gc_collecting)
		collecting = process->runtime + layout->runtime_gc_collecting;
	else if (layout->interpreter_gc_collecting)
		collecting = interpreter + layout->interpreter_gc_collecting;
	if (!collecting || !(__u32)user_read_word(collecting, subject))
		return false;
	if (layout->runtime_gil)
		gil = process->runtime + layout->runtime_gil;
	else
		gil = user_read_word(interpreter + layout->interpreter_gil, subject);
	return user_read_word(gil + layout->gil_last_holder, subject) == thread->python_thread;
}

/*
 * The frame that set off the collection that python_collects() has found: the interpreter keeps it
 * from 3.15 on. 0: not known.
 */
static __always_inline __u64 python_collector(subject_t subject,
					      const struct process_config *process,
					      const struct scratch *scratch)
{
	const struct python_layout *layout = &process->layout;

	if (!layout->interpreter_gc_frame)
		return 0;
	return user_read_word(object_word(scratch, layout->thread_interpreter) +
				      layout->interpreter_gc_frame,
			      subject);
}

/*
 * The innermost frame of the thread, which is the calling one, where no scratch memory is at hand.
 * 0: none, or it is not known.
 */
static __always_inline __u64 python_frame_find(struct thread *thread,
					       const struct process_config *process,
					       subject_t subject)
{
	const struct python_layout *layout = &process->layout;
	__u64 frame;

	if (!layout->version)
		return 0;
	if ((!thread->python_thread || !thread->python_interpreter ||
	     user_read_word(thread->python_thread + layout->thread_id, subject) !=
		     thread_pointer_read(subject_task(subject))) &&
	    python_thread_search(thread, subject, process))
		return 0;
	frame = user_read_word(thread->python_thread + layout->thread_frame, subject);
	if (layout->frame_model == FRAME_MODEL_CFRAME && frame)
		frame = user_read_word(frame + layout->cframe_current_frame, subject);
	return frame;
}

struct gil_search {
	const struct process_config *process;
	subject_t subject;
	__u64 address;
	__u64 interpreter;
	__u64 gil; /* 0: not found */
};

static long gil_search_step(__u32 index, void *context)
{
	struct gil_search *search = context;
	const struct python_layout *layout = &search->process->layout;
	__u64 gil = user_read_word(search->interpreter + layout->interpreter_gil, search->subject);

	if (gil && search->address - gil < layout->gil_size) {
		search->gil = gil;
		return 1;
	}
	search->interpreter =
		user_read_word(search->interpreter + layout->interpreter_next, search->subject);
	return !search->interpreter;
}

/*
 * The GIL that a futex belongs to, from 3.12 on; 0: to none. Of whatever interpreter: a thread can
 * be in several, and waits for the lock of one before it has frames there.
 */
CHECKED_ONCE __u64 gil_search(subject_t subject, const struct process_config *process,
			      __u64 address)
{
	struct gil_search search = {.process = process, .subject = subject, .address = address};

	if (!process)
		return 0;
	search.interpreter = user_read_word(
		process->runtime + process->layout.runtime_interpreters_head, subject);
	if (search.interpreter)
		bpf_loop(PYTHON_INTERPRETERS_MAX, gil_search_step, &search, 0);
	return search.gil;
}

/* Tells whether a futex belongs to a GIL of the thread's process; then it is in thread->gil. */
static __always_inline bool python_gil_contains(struct thread *thread, subject_t subject,
						__u64 address)
{
	const struct process_config *process = process_find(subject_task(subject));
	const struct python_layout *layout;
	__u64 gil;

	if (!process || !process->layout.version)
		return false;
	layout = &process->layout;
	if (thread->gil && address - thread->gil < layout->gil_size)
		return true;
	if (layout->runtime_gil) {
		gil = process->runtime + layout->runtime_gil;
		gil = address - gil < layout->gil_size ? gil : 0;
	} else {
		gil = gil_search(subject, process, address);
	}
	if (gil)
		thread->gil = gil;
	return gil;
}

#endif
