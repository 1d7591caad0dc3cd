/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the walk over a thread's Python frames, innermost first, into a sample. Leaves the
 * thread's state to python.bpf.h, code objects to code.bpf.h.
 */
#ifndef PYEBPF_FRAMES_BPF_H
#define PYEBPF_FRAMES_BPF_H

#include "code.bpf.h"
#include "python.bpf.h"

#define FRAME_NOWHERE 1 /* on the page at 0, which is never mapped */

struct frame_walk {
	const struct process_config *process;
	struct scratch *scratch;
	struct sample_record *sample;
	struct code_set *known;
	subject_t subject;
	__u64 frame;
	__u64 window_start; /* address of scratch->window's first byte */
	__u32 window_bytes; /* that are valid */
	__u32 count;
	__u64 cframe;  /* 3.11: of the call of the loop that the next frame belongs to; 0: none */
	__u32 entries; /* how many of the frames belong to calls of the loop that are complete */
};

/*
 * From 3.11 on frames lie one above the other in page-aligned chunks (Python/pystate.c,
 * push_chunk): a read from the page's start to the frame's end is always of mapped memory and
 * brings the callers along. Before, each frame is an object of its own.
 * Returns 0, and the frame's offset in the window in *offset.
 */
static __always_inline int frame_load(struct frame_walk *walk, __u32 *offset)
{
	const struct python_layout *layout = &walk->process->layout;
	__u64 start = walk->frame;
	__u32 bytes = layout->frame_size;
	__u64 ahead = walk->frame - walk->window_start;

	if (ahead < WINDOW_BYTES && ahead + bytes <= walk->window_bytes) {
		*offset = ahead;
		return 0;
	}
	if (layout->frame_model != FRAME_MODEL_OBJECT) {
		start &= ~(__u64)(PAGE_BYTES - 1);
		bytes += walk->frame - start;
	}
	walk->window_bytes = 0;
	if (bytes > WINDOW_BYTES || user_read(walk->scratch->window, bytes, start, walk->subject))
		return -1;
	walk->window_start = start;
	walk->window_bytes = bytes;
	*offset = walk->frame - start;
	return 0;
}

/* Byte offset of the instruction that the frame last began; -1: none. */
static __always_inline __s32 frame_instruction(const struct python_layout *layout, __u64 code,
					       __u64 word)
{
	__s64 offset;

	if (layout->frame_model == FRAME_MODEL_OBJECT)
		offset = (__s64)(__s32)word * layout->instruction_scale;
	else
		offset = word - (code + layout->code_instructions);
	return offset < 0 || offset > 0x7fffffff ? -1 : offset;
}

/* Addresses that no user memory has would be taken for other processes' in code_key(). */
static __always_inline bool code_address_valid(__u64 code)
{
	return code && !(code >> 47);
}

/*
 * The last frame kept is the first of a call of the interpreter's loop. `joint` is the address of
 * what the call keeps on its native stack, see native.bpf.h; 0: not known. A call that runs no
 * frame yet does not count.
 */
static __always_inline void entry_keep(struct frame_walk *walk, __u64 joint)
{
	struct scratch *scratch = walk->scratch;
	__u32 last = walk->count - 1, index = scratch->joint_count;

	if (walk->count == walk->entries || last >= PYTHON_FRAMES_MAX)
		return;
	walk->sample->python[last].code |= PYTHON_FRAME_ENTRY;
	walk->entries = walk->count;
	if (joint && index < JOINTS_MAX) {
		scratch->joints[index] = joint;
		scratch->joint_count = index + 1;
	}
}

/* In 3.11 each call of the loop has a _PyCFrame, and its first frame says that it is that. */
static __always_inline void entry_keep_flagged(struct frame_walk *walk)
{
	const struct python_layout *layout = &walk->process->layout;

	entry_keep(walk, walk->cframe);
	if (native_stacks && walk->cframe)
		walk->cframe =
			user_read_word(walk->cframe + layout->cframe_previous, walk->subject);
}

static __always_inline void frame_keep(struct frame_walk *walk, __u64 code, __s32 instruction)
{
	struct scratch *scratch = walk->scratch;
	__u32 identity = code_identity(walk->process, code, scratch, walk->subject);
	__u32 index = walk->count;
	struct python_frame *frame;

	if (index >= PYTHON_FRAMES_MAX)
		return;
	frame = &walk->sample->python[index];
	frame->code = code;
	frame->instruction = instruction;
	frame->identity = identity;
	if (!code_set_holds(walk->known, code_key(walk->process, code, identity)) &&
	    scratch->unnamed_count < PYTHON_FRAMES_MAX)
		scratch->unnamed[scratch->unnamed_count++] = index;
	walk->count = index + 1;
}

/* What the innermost frame is doing: up to 3.10 its instructions are in an object of their own. */
static __always_inline void opcode_read(struct frame_walk *walk, __u64 code, __u64 word,
					__s32 instruction)
{
	const struct python_layout *layout = &walk->process->layout;
	__u64 address = word;
	__u8 opcode;

	if (!native_stacks || walk->sample->state != STATE_RUNNING || instruction < 0)
		return;
	if (layout->code_bytecode)
		address = user_read_word(code + layout->code_bytecode, walk->subject) +
			  layout->bytes_data + instruction;
	if (!user_read(&opcode, sizeof(opcode), address, walk->subject))
		walk->sample->opcode = opcode;
}

static long frame_walk_step(__u32 step, void *context)
{
	struct frame_walk *walk = context;
	const struct python_layout *layout = &walk->process->layout;
	__u64 frame = walk->frame, code, word;
	__s32 instruction;
	__u32 offset;

	if (!walk->frame || walk->count >= PYTHON_FRAMES_MAX)
		return 1;
	if (walk->frame == walk->scratch->collector)
		walk->sample->gc_inside = walk->count;
	if (frame_load(walk, &offset)) {
		walk->sample->flags |= SAMPLE_BROKEN;
		loss_count(LOSS_FRAME_UNREADABLE);
		return 1;
	}
	walk->frame = window_word(walk->scratch, offset + layout->frame_previous);
	if (layout->frame_owner && (__u8)window_word(walk->scratch, offset + layout->frame_owner) >=
					   layout->frame_owner_shim) {
		entry_keep(walk, frame);
		return 0;
	}
	code = window_word(walk->scratch, offset + layout->frame_code) &
	       ~(__u64)layout->frame_code_tags;
	if (!code_address_valid(code)) {
		walk->sample->flags |= SAMPLE_BROKEN;
		loss_count(LOSS_FRAME_INVALID);
		return 1;
	}
	word = window_word(walk->scratch, offset + layout->frame_instruction);
	instruction = frame_instruction(layout, code, word);
	if (!walk->count)
		opcode_read(walk, code, word, instruction);
	frame_keep(walk, code, instruction);
	if (layout->frame_model == FRAME_MODEL_OBJECT)
		entry_keep(walk, 0);
	else if (layout->frame_entry &&
		 (__u8)window_word(walk->scratch, offset + layout->frame_entry))
		entry_keep_flagged(walk);
	return 0;
}

/* Names one code object that was not known, unless an earlier frame's naming has done it. */
static long frame_name_step(__u32 step, void *context)
{
	struct frame_walk *walk = context;
	struct scratch *scratch = walk->scratch;
	struct python_frame *frame;
	__u64 code;
	__u32 index;
	int error;

	if (step >= PYTHON_FRAMES_MAX)
		return 1;
	index = scratch->unnamed[step];
	if (index >= PYTHON_FRAMES_MAX)
		return 1;
	frame = &walk->sample->python[index];
	code = frame->code & ~PYTHON_FRAME_ENTRY;
	error = code_name(walk->process, scratch, walk->subject, walk->known, code,
			  frame->identity);
	if (!error)
		return 0;
	if (error == -2) { /* what follows cannot be trusted either */
		loss_count(LOSS_FRAME_INVALID);
		walk->sample->flags |= SAMPLE_BROKEN;
		walk->count = index;
		return 1;
	}
	if (code_is_glue(walk->process, code)) {
		frame->identity = FRAME_GLUE;
		return 0;
	}
	loss_count(LOSS_CODE_UNNAMED);
	frame->identity = FRAME_UNNAMED;
	return 0;
}

/* Where the walk begins: 0 where the thread has no frames, an address that cannot be read else. */
static __always_inline __u64 frame_innermost(const struct process_config *process,
					     const struct scratch *scratch, subject_t subject)
{
	__u64 start = object_word(scratch, process->layout.thread_frame);
	__u64 frame;

	if (process->layout.frame_model != FRAME_MODEL_CFRAME || !start)
		return start;
	if (user_read(&frame, sizeof(frame), start + process->layout.cframe_current_frame, subject))
		return FRAME_NOWHERE;
	return frame;
}

/*
 * Whether the thread collects garbage, and for which of its frames. That is kept in the scratch
 * memory: the verifier would follow each value that it can have through the whole walk.
 */
static __always_inline void collection_look(struct frame_walk *walk, const struct thread *thread)
{
	const struct process_config *process = walk->process;
	struct scratch *scratch = walk->scratch;

	walk->sample->gc = thread->gc;
	scratch->collector = 0;
	scratch->hidden_at = 0;
	if (thread->gc) {
		scratch->collector = thread->gc_frame;
		scratch->hidden_at = thread->gc_return_at;
		scratch->hidden = thread->gc_return;
	}
	if (!process->gc_by_flag || !python_collects(thread, walk->subject, process, scratch))
		return;
	walk->sample->gc_flag = 1;
	scratch->collector = python_collector(walk->subject, process, scratch);
}

/*
 * Fills in the sample's Python frames and flags, and has all their code objects named. Returns
 * -1 where there are none.
 */
CHECKED_ONCE int frames_walk(struct thread *thread, subject_t subject,
			     const struct process_config *process, struct scratch *scratch,
			     struct sample_record *sample)
{
	struct frame_walk walk = {
		.process = process, .scratch = scratch, .sample = sample, .subject = subject};

	if (!thread || !process || !scratch || !sample)
		return -1;
	walk.known = code_set_find();
	if (!walk.known)
		return -1;
	if (python_thread_load(thread, subject, process, scratch)) {
		sample->flags |= SAMPLE_NO_THREAD;
		return -1;
	}
	collection_look(&walk, thread);
	scratch->unnamed_count = 0;
	scratch->joint_count = 0;
	scratch->code.head.pid = sample->head.pid;
	walk.frame = frame_innermost(process, scratch, subject);
	if (process->layout.frame_entry)
		walk.cframe = object_word(scratch, process->layout.thread_frame);
	bpf_loop(2 * PYTHON_FRAMES_MAX, frame_walk_step, &walk, 0);
	if (walk.frame && !(sample->flags & SAMPLE_BROKEN)) {
		sample->flags |= SAMPLE_CUT;
		loss_count(LOSS_STACK_CUT);
	}
	if (scratch->unnamed_count)
		bpf_loop(scratch->unnamed_count, frame_name_step, &walk, 0);
	sample->python_count = walk.count;
	return 0;
}

#endif
