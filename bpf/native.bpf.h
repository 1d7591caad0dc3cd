/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the walk over a thread's native frames, innermost first, into a sample behind its Python
 * frames, and where the two meet: a native frame of the interpreter's loop stands for all the
 * Python frames that this call of it runs.
 *
 * From 3.11 on each call of the loop keeps something on its native stack by which Python frames
 * are linked: a _PyCFrame in 3.11, a frame without code later (Python/ceval.c, `cframe` and
 * `entry_frame`). frames.bpf.h has noted their addresses, the joints: the native frame around one
 * is the loop's. Before 3.11 it is told by the address of its instruction.
 *
 * Leaves tables to unwind_table.bpf.h, registers to registers.bpf.h.
 */
#ifndef PYEBPF_NATIVE_BPF_H
#define PYEBPF_NATIVE_BPF_H

#include "memory.bpf.h"
#include "process.bpf.h"
#include "registers.bpf.h"
#include "scratch.bpf.h"
#include "unwind_table.bpf.h"

#define STACK_READ_MIN 1024 /* bytes; a read costs the same up to some KiB */

/* What a walk needs and does not change. Its state is in scratch memory: see there. */
struct native_walk {
	const struct process_config *process;
	struct address_space *space;
	struct scratch *scratch;
	struct sample_record *sample;
	subject_t subject;
};

/* Reads on from an address to the end of its page, or of the next if that is near. */
static __always_inline int stack_load(struct scratch *scratch, __u64 address, subject_t subject)
{
	__u64 start = address & ~(__u64)(WORD_BYTES - 1);
	__u32 bytes = PAGE_BYTES - (start & (PAGE_BYTES - 1));

	scratch->window_bytes = 0;
	if (bytes < STACK_READ_MIN &&
	    !user_read(scratch->window, bounded(bytes + PAGE_BYTES, WINDOW_BYTES), start, subject))
		bytes += PAGE_BYTES;
	else if (user_read(scratch->window, bounded(bytes, PAGE_BYTES), start, subject))
		return -1;
	scratch->window_start = start;
	scratch->window_bytes = bytes;
	return 0;
}

/* Reads a word of the stack. Returns 0 or -1. */
CHECKED_ONCE int stack_word(struct scratch *scratch, __u64 address, __u64 *word, subject_t subject)
{
	__u64 ahead;

	if (!scratch || !word)
		return -1;
	ahead = address - scratch->window_start;
	if (ahead >= WINDOW_BYTES || ahead + WORD_BYTES > scratch->window_bytes) {
		if (stack_load(scratch, address, subject))
			return -1;
		ahead = address - scratch->window_start;
		if (ahead + WORD_BYTES > scratch->window_bytes)
			return -1; /* across the end of memory that is there */
	}
	*word = window_word(scratch, ahead);
	return 0;
}

/* Finds where the CFA is. Returns 0, or the loss. */
static __always_inline int cfa_place(const struct native_walk *walk)
{
	struct native_state *state = &walk->scratch->native;
	const struct unwind_rule *rule = &state->rule;
	struct native_caller *caller = &state->caller;
	__u64 base = state->at.sp;

	if (rule->cfa == UNWIND_FP || rule->cfa == UNWIND_FP_LOADED)
		base = state->at.fp;
	switch (rule->cfa) {
	case UNWIND_FP:
	case UNWIND_SP:
		caller->cfa = base + (__s64)rule->offset;
		return 0;
	case UNWIND_FP_LOADED:
	case UNWIND_SP_LOADED:
		caller->cfa_at = base + (__s64)rule->short_offset;
		caller->cfa = (__s64)rule->addend;
		return 0;
	case UNWIND_REGISTER:
		if (state->count)
			break;
		caller->cfa = register_read(subject_task(walk->subject), rule->addend) +
			      (__s64)rule->short_offset;
		return 0;
	case UNWIND_SP_RETURN:
		if (state->count)
			break;
		caller->cfa = base + (__s64)rule->short_offset;
		return 0;
	case UNWIND_PLT:
		caller->cfa = base + WORD_BYTES;
		if ((state->at.ip & 15) >= (__u64)rule->offset)
			caller->cfa += WORD_BYTES;
		return 0;
	case UNWIND_SIGNAL:
		caller->cfa_at = base + SIGNAL_SP_AT;
		caller->ip_at = base + SIGNAL_IP_AT;
		caller->fp_at = base + SIGNAL_FP_AT;
		return 0;
	}
	return LOSS_NATIVE_UNKNOWN;
}

static __always_inline void frame_pointer_place(struct native_state *state)
{
	const struct unwind_rule *rule = &state->rule;
	__s64 at = (__s64)rule->frame_pointer_at * WORD_BYTES;

	if (rule->cfa == UNWIND_SIGNAL)
		return;
	if (rule->frame_pointer == FRAME_POINTER_CFA)
		state->caller.fp_at = state->caller.cfa + at;
	if (rule->frame_pointer == FRAME_POINTER_FP)
		state->caller.fp_at = state->at.fp + at;
	if (rule->frame_pointer == FRAME_POINTER_LOST)
		state->at.fp = 0;
}

/*
 * Applies the rule: state->at becomes the caller's. Returns 0, or the loss for which it cannot;
 * then state->at.sp is what it was.
 */
static __always_inline int caller_load(struct native_walk *walk)
{
	struct native_state *state = &walk->scratch->native;
	struct native_caller *caller = &state->caller;
	int loss;

	__builtin_memset(caller, 0, sizeof(*caller));
	loss = cfa_place(walk);
	if (loss)
		return loss;
	if (caller->cfa_at) {
		if (stack_word(walk->scratch, caller->cfa_at, &state->word, walk->subject))
			return LOSS_NATIVE_UNREADABLE;
		caller->cfa += state->word;
	}
	frame_pointer_place(state);
	/* A handler may run on a stack of its own. */
	if (state->rule.cfa != UNWIND_SIGNAL &&
	    caller->cfa < state->at.sp + (state->rule.cfa != UNWIND_SP_RETURN))
		return LOSS_NATIVE_INVALID;
	if (!caller->ip_at)
		caller->ip_at = caller->cfa - WORD_BYTES;
	if (caller->fp_at && stack_word(walk->scratch, caller->fp_at, &state->at.fp, walk->subject))
		return LOSS_NATIVE_UNREADABLE;
	if (state->rule.cfa == UNWIND_SP_RETURN)
		state->at.ip = register_read(subject_task(walk->subject), state->rule.addend);
	else if (stack_word(walk->scratch, caller->ip_at, &state->at.ip, walk->subject))
		return LOSS_NATIVE_UNREADABLE;
	if (caller->ip_at == walk->scratch->hidden_at)
		state->at.ip = walk->scratch->hidden;
	state->at.sp = caller->cfa;
	return 0;
}

static __always_inline int native_keep(struct native_walk *walk, __u64 word)
{
	struct native_state *state = &walk->scratch->native;
	__u32 at = state->first + state->count * sizeof(word);

	if (state->count >= NATIVE_FRAMES_MAX || at > FRAMES_BYTES - sizeof(word))
		return -1;
	*(__u64 *)(walk->sample->frames + at) = word;
	state->count++;
	return 0;
}

static __always_inline bool loop_holds(const struct process_config *process, __u64 address)
{
	return address - process->loop_start[0] < process->loop_end[0] - process->loop_start[0] ||
	       address - process->loop_start[1] < process->loop_end[1] - process->loop_start[1];
}

/* Whether the next joint lies between these addresses of the stack. */
static __always_inline bool joint_between(const struct native_walk *walk, __u64 start, __u64 end)
{
	const struct native_state *state = &walk->scratch->native;
	__u32 index = state->joint;
	__u64 joint;

	if (index >= walk->scratch->joint_count || index >= JOINTS_MAX)
		return false;
	joint = walk->scratch->joints[index];
	return joint >= start && joint < end;
}

/*
 * Remembers where in its frame the loop keeps the joint and the frame pointer: the same in
 * each call of it, so that a walk which cannot go on is taken up at the next one, see
 * native_break().
 */
static __always_inline void loop_learn(struct native_walk *walk)
{
	const struct native_state *state = &walk->scratch->native;
	const struct unwind_rule *rule = &state->rule;
	__u64 joint = walk->scratch->joints[state->joint & (JOINTS_MAX - 1)];

	if (rule->frame_pointer != FRAME_POINTER_CFA)
		return;
	walk->space->loop_frame_pointer_at = rule->frame_pointer_at;
	walk->space->loop_cfa_at = state->caller.cfa - joint;
}

/*
 * From 3.13 on the interpreter may itself generate code, which its loop calls: such code is no
 * loss where the walk is taken up at the loop.
 */
static __always_inline bool native_is_compiled_python(const struct native_walk *walk)
{
	const struct native_state *state = &walk->scratch->native;

	return state->range.end && !state->range.file &&
	       walk->process->layout.version >= GENERATES_CODE;
}

/*
 * The walk cannot go on from a frame that has been kept. It is taken up behind what cannot be
 * unwound, at the innermost call of the interpreter's loop that has not been passed yet, if there
 * is one; what lies between is missing. Returns what the step is to return.
 */
static __always_inline long native_break(struct native_walk *walk, int loss)
{
	struct native_state *state = &walk->scratch->native;
	bool compiled = native_is_compiled_python(walk);
	__u32 index = state->joint;
	__u64 joint = 0;

	if (index < walk->scratch->joint_count && index < JOINTS_MAX)
		joint = walk->scratch->joints[index];
	if (!state->resumed && walk->space->loop_cfa_at && joint > state->at.sp) {
		if (!compiled)
			loss_count(loss);
		state->at.sp = joint;
		state->resumed = 1;
		return 0;
	}
	if (!state->resumed || compiled) /* else it has been counted */
		loss_count(loss);
	walk->sample->flags |= SAMPLE_NATIVE_CUT;
	return 1;
}

static __always_inline int range_load(struct native_walk *walk, __u64 address)
{
	struct native_state *state = &walk->scratch->native;

	if (address >= state->range.start && address < state->range.end)
		return 0;
	if (!range_find(walk->space, address, &state->range))
		return 0;
	state->range.end = 0;
	return -1;
}

/* Finds the frame's rule, and the frame as the sample has it. Returns 0, or the loss of having none. */
static __always_inline int native_look(struct native_walk *walk, __u64 *word)
{
	struct native_state *state = &walk->scratch->native;
	__u64 address = state->at.ip - state->returned, value;
	struct unwind_rule *rule = &state->rule;

	if (state->resumed) {
		*word = NATIVE_INTERPRETER;
		rule->cfa = UNWIND_SP;
		rule->frame_pointer = FRAME_POINTER_CFA;
		rule->frame_pointer_at = walk->space->loop_frame_pointer_at;
		rule->offset = walk->space->loop_cfa_at;
		return 0;
	}
	*word = address & NATIVE_ADDRESS_MASK;
	if (loop_holds(walk->process, address))
		*word |= NATIVE_INTERPRETER;
	if (range_load(walk, address))
		return LOSS_NATIVE_UNMAPPED;
	if (!state->range.file)
		return LOSS_NATIVE_UNKNOWN;
	value = address - state->range.bias;
	*word = (*word & NATIVE_INTERPRETER) | (value & NATIVE_ADDRESS_MASK) |
		(__u64)state->range.file << NATIVE_ADDRESS_BITS;
	if (!state->range.chunk)
		return LOSS_NATIVE_PENDING;
	if (rule_find(state->range.chunk, state->range.block, value, rule) ||
	    rule->cfa == UNWIND_UNKNOWN)
		return LOSS_NATIVE_UNKNOWN;
	return 0;
}

/* The frame is in the sample and its rule was applied: on to its caller. */
static __always_inline long native_advance(struct native_walk *walk, bool joined)
{
	struct native_state *state = &walk->scratch->native;

	if (joined) {
		if (!state->resumed)
			loop_learn(walk);
		state->joint++;
	}
	state->resumed = 0;
	state->returned = state->rule.cfa != UNWIND_SIGNAL;
	return 0;
}

static long native_walk_step(__u32 step, void *context)
{
	struct native_walk *walk = context;
	struct native_state *state = &walk->scratch->native;
	__u64 word, sp = state->at.sp;
	bool joined = false;
	int loss;

	if (!state->at.ip)
		return 1;
	loss = native_look(walk, &word);
	if (!loss && state->rule.cfa != UNWIND_END) {
		loss = caller_load(walk);
		joined = !loss && joint_between(walk, sp, state->at.sp);
	}
	if (state->resumed && loss)
		return native_break(walk, loss);
	if (native_keep(walk, joined ? word | NATIVE_INTERPRETER : word)) {
		loss_count(LOSS_NATIVE_CUT);
		walk->sample->flags |= SAMPLE_NATIVE_CUT;
		return 1;
	}
	if (loss)
		return native_break(walk, loss);
	if (state->rule.cfa == UNWIND_END)
		return 1;
	return native_advance(walk, joined);
}

/* Has user space look again at what the process maps, once it has changed. */
static __always_inline void mappings_check(struct task_struct *task, struct address_space *space,
					   const struct process_config *process)
{
	struct mm_struct *memory = task->mm;
	__u64 pages = memory ? memory->exec_vm : 0;

	if (!pages || pages == space->executable_pages)
		return;
	if (!process_send(task, RECORD_MAPPINGS, process->index))
		space->executable_pages = pages;
}

/*
 * Fills in the sample's native frames, once its Python frames are there. Uses scratch->window and
 * scratch->joints.
 */
CHECKED_ONCE int native_walk(subject_t subject, const struct process_config *process,
			     struct scratch *scratch, struct sample_record *sample)
{
	struct native_walk walk = {
		.process = process, .scratch = scratch, .sample = sample, .subject = subject};
	struct task_struct *task = subject_task(subject);
	__u32 pid;

	if (!process || !scratch || !sample)
		return -1;
	pid = task->tgid;
	walk.space = bpf_map_lookup_elem(&address_spaces, &pid);
	if (!walk.space)
		return -1; /* see enum sample_flags */
	mappings_check(task, walk.space, process);
	if (!walk.space->ranges.chunk) {
		sample->flags |= SAMPLE_NATIVE | SAMPLE_NATIVE_CUT;
		loss_count(LOSS_NATIVE_PENDING);
		return -1;
	}
	__builtin_memset(&scratch->native, 0, sizeof(scratch->native));
	scratch->native.first =
		bounded(sample->python_count, PYTHON_FRAMES_MAX) * sizeof(struct python_frame);
	scratch->window_bytes = 0;
	if (!sample->python_count)
		scratch->joint_count = 0; /* they are of the sample before */
	native_registers_read(task, &scratch->native.at);
	sample->flags |= SAMPLE_NATIVE;
	bpf_loop(NATIVE_FRAMES_MAX + 1, native_walk_step, &walk, 0);
	sample->native_count = scratch->native.count;
	scratch->hidden_at = 0; /* it is of this thread */
	return 0;
}

#endif
