// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Owns on-CPU samples: at each tick of a CPU's sampling clock, of the thread that runs there. */
#include "ran.bpf.h"
#include "sample.bpf.h"

/* The layout of struct bpf_user_pt_regs on x86-64: plain words, which all kernels let through. */
struct sampled_registers {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
	__u64 ip, cs, flags, sp, ss;
};

static __always_inline bool registers_user(const struct sampled_registers *registers)
{
	return registers->cs & 3; /* privilege level, arch/x86/include/asm/segment.h */
}

static __always_inline __u32 leaf_find(struct task_struct *task,
				       const struct sampled_registers *registers)
{
	const struct process_config *process;

	if (!registers_user(registers))
		return LEAF_KERNEL;
	process = process_find(task);
	if (process && process->text_end &&
	    (registers->ip < process->text_start || registers->ip >= process->text_end))
		return LEAF_NATIVE;
	return LEAF_PYTHON;
}

SEC("perf_event")
int sample_cpu(struct sampled_registers *registers)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);
	struct sampling sampling;

	cpu_tick_note(task);
	if (!thread)
		return 0;
	if (!process_find(task)) { /* it was given up, and may be taken on again */
		thread->mode = THREAD_NEW;
		return 0;
	}
	if (sample_begin(&sampling, SCRATCH_CPU, task))
		return 0;
	sampling.sample->state = STATE_RUNNING;
	sampling.sample->ns = period_ns;
	sampling.sample->leaf = leaf_find(task, registers);
	sample_add_stack(&sampling, thread, task, OWN_THREAD);
	if (sampling.sample->leaf == LEAF_KERNEL)
		sample_add_kernel(sampling.sample,
				  bpf_get_stack(registers, sample_kernel_room(sampling.sample),
						KERNEL_FRAMES_BYTES, 0));
	gil_tick_note(thread, task, OWN_THREAD, sampling.sample);
	sample_end(&sampling);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
