/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns a sample: what it says of its thread, in which order it is filled and sent. Programs take
 * one with sample_begin(), add to it what they know, and finish it with sample_end().
 */
#ifndef PYEBPF_SAMPLE_BPF_H
#define PYEBPF_SAMPLE_BPF_H

#include "frames.bpf.h"
#include "native.bpf.h"
#include "ready.bpf.h"
#include "wait.bpf.h"

struct sampling {
	struct scratch *scratch;
	struct sample_record *sample;
};

/* Takes the scratch memory of a slot and fills in all but state, times and stacks. */
static __always_inline int sample_begin(struct sampling *sampling, __u32 slot,
					struct task_struct *task)
{
	struct sample_record *sample;

	if (scratch_acquire(slot, &sampling->scratch, &sampling->sample))
		return -1;
	sample = sampling->sample;
	__builtin_memset(sample, 0, offsetof(struct sample_record, frames));
	sample->head.kind = RECORD_SAMPLE;
	sample->head.pid = task->tgid;
	sample->tid = task->pid;
	sample->time_ns = bpf_ktime_get_ns();
	sample->syscall = -1;
	sample->descriptor = -1;
	sample->opcode = OPCODE_UNKNOWN;
	BPF_CORE_READ_STR_INTO(&sample->comm, task, comm);
	return 0;
}

/* Bytes of the Python and native frames. */
static __always_inline __u32 sample_frames_bytes(const struct sample_record *sample)
{
	return bounded(sample->python_count * sizeof(struct python_frame) +
			       sample->native_count * sizeof(__u64),
		       FRAMES_BYTES);
}

/* Where the kernel's frames go, KERNEL_FRAMES_BYTES of them: behind the others. */
static __always_inline void *sample_kernel_room(struct sample_record *sample)
{
	return sample->frames + sample_frames_bytes(sample);
}

#define KERNEL_FRAMES_BYTES (KERNEL_FRAMES_MAX * sizeof(__u64))

/* `bytes` as bpf_get_stack() returned them. */
static __always_inline void sample_add_kernel(struct sample_record *sample, long bytes)
{
	if (bytes > 0)
		sample->kernel_count = bytes / sizeof(__u64);
}

/* `slot` is an enum poll_slot. */
static __always_inline void sample_add_wait(struct sample_record *sample, struct thread *thread,
					    subject_t subject, __u32 slot)
{
	struct task_struct *task = subject_task(subject);

	sample->state = thread->capture.ns ? thread->state : STATE_RUNQUEUE;
	sample->ns = thread->capture.ns;
	sample->length_ns = thread->capture.length_ns;
	sample->runqueue_ns = thread->capture.runqueue_ns;
	sample->runqueue_length_ns = thread->capture.runqueue_length_ns;
	sample->continued = thread->continued;
	sample->syscall = thread->syscall;
	if (thread->capture.runqueue_ns)
		__builtin_memcpy(sample->ran, thread->ran, sizeof(sample->ran));
	sample->descriptor = thread->descriptor;
	if (thread->state == STATE_POLL || thread->state == STATE_ACCEPT)
		sample->target.descriptors = ready_find(subject, slot, &sample->descriptor);
	if (sample->descriptor >= 0)
		target_read(task, sample->descriptor, &sample->target);
}

/* The frames of other threads in a sample, while their code objects are named. */
struct others_walk {
	const struct process_config *process;
	struct scratch *scratch;
	subject_t subject;
	struct sample_record *sample;
};
#define OTHER_FRAMES (WAKER_FRAMES_MAX + 2)

/* A loop, so that the verifier follows the naming once and not for each of the frames. */
static long other_name_step(__u32 step, void *context)
{
	struct others_walk *walk = context;
	struct python_frame *frame = &walk->sample->holder[step & 1];

	if (step < WAKER_FRAMES_MAX)
		frame = &walk->sample->waker.frames[step & (WAKER_FRAMES_MAX - 1)];
	frame_name(walk->process, walk->scratch, walk->subject, frame);
	return 0;
}

/*
 * Who held the GIL that the thread has waited for, or who woke it. After the Python frames: they
 * use the scratch.
 */
static __always_inline void sample_add_others(struct sampling *sampling, struct thread *thread,
					      struct task_struct *task, subject_t subject)
{
	struct process_config *process = process_find(task);
	struct sample_record *sample = sampling->sample;
	struct others_walk walk = {.process = process,
				   .scratch = sampling->scratch,
				   .subject = subject,
				   .sample = sample};

	if (!process)
		return;
	if (sample->state == STATE_LOCK || sample->state == STATE_PIPE)
		sample->waker = thread->waker;
	else if (sample->state != STATE_GIL || gil_ticks_choose(task->tgid, thread, sample->holder))
		return;
	else
		gil_holders_read(thread, subject, process, sample->holder);
	bpf_loop(OTHER_FRAMES, other_name_step, &walk, 0);
}

static __always_inline int sample_send(struct sample_record *sample)
{
	__u32 bytes = offsetof(struct sample_record, frames) + sample_frames_bytes(sample) +
		      bounded(sample->kernel_count, KERNEL_FRAMES_MAX) * sizeof(__u64);

	sample->head.size = bytes;
	if (!sample->head.process) /* it is not recorded any more */
		return -1;
	return emit(sample, bytes, true, LOSS_RING_FULL);
}

static __always_inline struct process_config *sample_add_python(struct sampling *sampling,
								struct thread *thread,
								struct task_struct *task,
								subject_t subject)
{
	struct process_config *process = process_find(task);
	struct sample_record *sample = sampling->sample;

	if (!process) {
		thread->mode = THREAD_CLOSED; /* its process was passed over in the meantime */
		return NULL;
	}
	sample->head.process = process->index;
	if (process->layout.version)
		frames_walk(thread, subject, process, sampling->scratch, sample);
	else
		sample->flags |= SAMPLE_NOT_PYTHON;
	sample->python_thread = thread->python_thread;
	return process;
}

/* The Python frames, then the native ones. */
static __always_inline void sample_add_stack(struct sampling *sampling, struct thread *thread,
					     struct task_struct *task, subject_t subject)
{
	struct process_config *process = sample_add_python(sampling, thread, task, subject);

	if (process && native_stacks)
		native_walk(subject, process, sampling->scratch, sampling->sample);
}

/* Sends the sample and gives the scratch memory back. Returns 0, or -1: it is lost. */
static __always_inline int sample_end(struct sampling *sampling)
{
	int error = sample_send(sampling->sample);

	scratch_release(sampling->scratch);
	return error;
}

#endif
