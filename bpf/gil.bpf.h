/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns who holds the interpreter's lock while another thread waits for it: the holder's innermost
 * Python frame, read from its thread state. The holder may be running, so what is read can be of
 * two moments; each part is checked, and what does not fit is no holder.
 */
#ifndef PYEBPF_GIL_BPF_H
#define PYEBPF_GIL_BPF_H

#include "code.bpf.h"
#include "frames.bpf.h"
#include "python.bpf.h"

#define HOLDER_SHIMS_MAX 3 /* frames without code that may lie above the innermost with some */

/* Address of the lock that the thread waits for; 0: not known. */
static __always_inline __u64 gil_address(const struct thread *thread,
					 const struct process_config *process)
{
	if (process->layout.runtime_gil)
		return process->runtime + process->layout.runtime_gil;
	return thread->gil;
}

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
 * or it cannot be told.
 */
CHECKED_ONCE int gil_holder_read(struct thread *thread, subject_t subject,
				 const struct process_config *process, struct python_frame *holder)
{
	const struct python_layout *layout = &process->layout;
	__u64 state, frame;

	if (!thread || !process || !holder)
		return -1;
	__builtin_memset(holder, 0, sizeof(*holder));
	state = gil_address(thread, process);
	if (state)
		state = user_read_word(state + layout->gil_last_holder, subject);
	if (!state || state == thread->python_thread)
		return -1;
	frame = holder_frame(layout, state, subject);
	frame = frame_skip_shims(layout, frame, subject);
	return frame ? holder_fill(process, frame, subject, holder) : -1;
}

/* Has the code object of a frame named. The frame is forgotten where that cannot be done. */
static __always_inline void frame_name(const struct process_config *process,
				       struct scratch *scratch, subject_t subject,
				       struct python_frame *frame)
{
	struct code_set *known = code_set_find();
	__u64 key;

	if (!frame->code || !known)
		return;
	frame->identity = code_identity(process, frame->code, scratch, subject);
	key = code_key(process, frame->code, frame->identity);
	if (code_set_holds(known, key))
		return;
	if (code_send(process, scratch, subject, frame->code, frame->identity))
		frame->code = 0;
	else
		code_set_add(known, key);
}

#endif
