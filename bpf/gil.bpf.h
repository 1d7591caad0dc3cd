/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns who holds the interpreter's lock while another thread waits for it: the holder's innermost
 * Python frame, by the last sample of it that was taken on its CPU, else read from its thread
 * state. Then the holder may be running, so what is read can be of two moments; each part is
 * checked, and what does not fit is no holder.
 */
#ifndef PYEBPF_GIL_BPF_H
#define PYEBPF_GIL_BPF_H

#include "code.bpf.h"
#include "frames.bpf.h"
#include "python.bpf.h"

#define HOLDER_SHIMS_MAX 3 /* frames without code that may lie above the innermost with some */

/* Address of a thread state's innermost frame; 0: it runs no Python code. */
static __always_inline __u64 holder_frame(const struct python_layout *layout, __u64 holder,
					  subject_t subject)
{
	__u64 frame = user_read_word(holder + layout->thread_frame, subject);

	if (layout->frame_model == FRAME_MODEL_CFRAME && frame)
		frame = user_read_word(frame + layout->cframe_current_frame, subject);
	return frame;
}

/* Reads a frame's code object and place. Returns 0; -1: it is not a frame. */
static __always_inline int holder_fill(const struct process_config *process, __u64 frame,
				       subject_t subject, struct python_frame *holder)
{
	const struct python_layout *layout = &process->layout;
	__u64 code = user_read_word(frame + layout->frame_code, subject);

	code &= ~(__u64)layout->frame_code_tags;
	if (!code_address_valid(code) ||
	    user_read_word(code + layout->object_type, subject) != process->code_type)
		return -1;
	holder->code = code;
	holder->instruction = frame_instruction(
		layout, code, user_read_word(frame + layout->frame_instruction, subject));
	return 0;
}

/* The innermost frame from `frame` on that runs Python code; 0: none near. */
static __always_inline __u64 frame_skip_shims(const struct python_layout *layout, __u64 frame,
					      subject_t subject)
{
	__u32 step;
	__u8 owner;

	for (step = 0; step < HOLDER_SHIMS_MAX && frame; step++) {
		if (!layout->frame_owner)
			return frame;
		if (user_read(&owner, sizeof(owner), frame + layout->frame_owner, subject))
			return 0;
		if (owner < layout->frame_owner_shim)
			return frame;
		frame = user_read_word(frame + layout->frame_previous, subject);
	}
	return 0;
}

/*
 * Finds the Python frame that holds the lock which the thread waits for. holder->code 0: nobody,
 * or it cannot be told. A thread that gives the lock up and waits for another to take it is still
 * the last holder, but holds nothing (Python/ceval_gil.h, drop_gil).
 */
CHECKED_ONCE int gil_holder_read(struct thread *thread, subject_t subject,
				 const struct process_config *process, struct python_frame *holder)
{
	const struct python_layout *layout = &process->layout;
	__u64 state = 0, frame;

	if (!thread || !process || !holder)
		return -1;
	__builtin_memset(holder, 0, sizeof(*holder));
	if (thread->gil)
		state = user_read_word(thread->gil + layout->gil_last_holder, subject);
	if (!state || user_read_word(state + layout->thread_id, subject) ==
			      thread_pointer_read(subject_task(subject)))
		return -1;
	frame = holder_frame(layout, state, subject);
	frame = frame_skip_shims(layout, frame, subject);
	return frame ? holder_fill(process, frame, subject, holder) : -1;
}

/*
 * Who held the lock in the first and in the second half of a wait that has ended, of which nothing
 * was seen between. A wait that ran out tells by both its ends: the holder has not changed or has
 * been made to by no call of its own. One that was woken tells by its beginning alone: a
 * holder that lets go of its own accord does so in a call that waits, and not where it worked.
 */
static __always_inline void gil_holders_read(struct thread *thread, subject_t subject,
					     const struct process_config *process,
					     struct python_frame holders[2])
{
	bool ran_out = thread->gil_deadline_ns &&
		       thread->gil_began_ns + thread->capture.length_ns >= thread->gil_deadline_ns;

	holders[0] = thread->gil_holder;
	if (ran_out || !holders[0].code)
		gil_holder_read(thread, subject, process, &holders[1]);
	if (!holders[0].code)
		holders[0] = holders[1];
	if (!holders[1].code)
		holders[1] = holders[0];
}

/*
 * The ticks of the CPUs' clocks that found a thread at work with the lock. They come at any place
 * of what it does, where the ends of waits may come at some places only.
 */
#define GIL_TICKS 8 /* a power of two */

struct gil_key {
	__u64 gil;
	__u64 pid;
};

struct gil_tick {
	__u64 time_ns;
	struct python_frame holder;
};

struct gil_ticks {
	__u64 next; /* index of the oldest, modulo GIL_TICKS */
	struct gil_tick ticks[GIL_TICKS];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct gil_key);
	__type(value, struct gil_ticks);
} gil_ticks __weak SEC(".maps");

static const struct gil_ticks gil_ticks_none = {};

/* Address of the lock that the thread has; 0: it has none. Its PyThreadState must be known. */
static __always_inline __u64 gil_held(const struct thread *thread,
				      const struct process_config *process, subject_t subject)
{
	const struct python_layout *layout = &process->layout;
	__u64 gil = process->runtime + layout->runtime_gil, interpreter;

	if (!layout->runtime_gil) {
		interpreter =
			user_read_word(thread->python_thread + layout->thread_interpreter, subject);
		gil = user_read_word(interpreter + layout->interpreter_gil, subject);
	}
	if (!gil || (__u32)user_read_word(gil + layout->gil_locked, subject) != 1 ||
	    user_read_word(gil + layout->gil_last_holder, subject) != thread->python_thread)
		return 0;
	return gil;
}

/* Notes, also in the sample, that the thread of which it was taken on its CPU has the lock. */
static __always_inline void gil_tick_note(const struct thread *thread, struct task_struct *task,
					  subject_t subject, struct sample_record *sample)
{
	const struct process_config *process = process_find(task);
	struct gil_key key = {.pid = task->tgid};
	struct gil_ticks *ticks;
	struct gil_tick *tick;

	if (!process || !sample->python_count || !thread->python_thread)
		return;
	key.gil = gil_held(thread, process, subject);
	if (!key.gil)
		return;
	sample->flags |= SAMPLE_HOLDS_GIL;
	ticks = bpf_map_lookup_elem(&gil_ticks, &key);
	if (!ticks) {
		bpf_map_update_elem(&gil_ticks, &key, &gil_ticks_none, BPF_NOEXIST);
		ticks = bpf_map_lookup_elem(&gil_ticks, &key);
	}
	if (!ticks)
		return;
	tick = &ticks->ticks[ticks->next++ & (GIL_TICKS - 1)];
	tick->time_ns = sample->time_ns;
	tick->holder = sample->python[0];
	tick->holder.code &= ~PYTHON_FRAME_ENTRY;
}

struct gil_choice {
	const struct gil_ticks *ticks;
	const struct thread *thread;
	struct python_frame *holder;
	__u32 found;
};

static long gil_tick_choose(__u32 at, void *context)
{
	struct gil_choice *choice = context;
	const struct gil_tick *tick = &choice->ticks->ticks[at & (GIL_TICKS - 1)];

	if (tick->time_ns - choice->thread->gil_began_ns >= choice->thread->capture.length_ns)
		return 0;
	choice->found++;
	if (bpf_get_prandom_u32() % choice->found == 0)
		*choice->holder = tick->holder;
	return 0;
}

/*
 * Who held the lock at one of the ticks in a wait, any of them, for the whole wait. Returns whether
 * there was one.
 */
static __always_inline bool gil_ticks_choose(__u32 pid, const struct thread *thread,
					     struct python_frame holders[2])
{
	const struct gil_key key = {.pid = pid, .gil = thread->gil};
	struct gil_choice choice = {.thread = thread, .holder = &holders[0]};

	choice.ticks = bpf_map_lookup_elem(&gil_ticks, &key);
	if (!choice.ticks)
		return false;
	bpf_loop(GIL_TICKS, gil_tick_choose, &choice, 0);
	holders[1] = holders[0];
	return choice.found;
}

/* Has the code object of a frame named. The frame is forgotten where that cannot be done. */
static __always_inline void frame_name(const struct process_config *process,
				       struct scratch *scratch, subject_t subject,
				       struct python_frame *frame)
{
	struct code_set *known = code_set_find();

	if (!frame->code || !known)
		return;
	scratch->code.head.pid = subject_task(subject)->tgid;
	frame->identity = code_identity(process, frame->code, scratch, subject);
	if (code_name(process, scratch, subject, known, frame->code, frame->identity))
		frame->code = 0;
}

#endif
