/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns what a walk over native frames must know of the processor, x86-64: the registers that a
 * thread had in user mode, and where a signal's frame keeps them.
 */
#ifndef PYEBPF_REGISTERS_BPF_H
#define PYEBPF_REGISTERS_BPF_H

#include "kernel.h"

#define WORD_BYTES 8

/*
 * Where the kernel has put registers in a signal's frame: offsets from the stack pointer with which
 * the handler returns, of struct ucontext (arch/x86/include/uapi/asm/ucontext.h, sigcontext.h).
 */
#define SIGNAL_FP_AT 120
#define SIGNAL_SP_AT 160
#define SIGNAL_IP_AT 168

/* Registers by their numbers in DWARF (System V ABI for AMD64, figure 3.36); 0: not kept. */
static __always_inline __u64 register_read(struct task_struct *task, __u32 number)
{
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);

	switch (number) {
	case 0:
		return registers->ax;
	case 1:
		return registers->dx;
	case 2:
		return registers->cx;
	case 3:
		return registers->bx;
	case 4:
		return registers->si;
	case 5:
		return registers->di;
	case 8:
		return registers->r8;
	case 9:
		return registers->r9;
	case 10:
		return registers->r10;
	case 11:
		return registers->r11;
	case 12:
		return registers->r12;
	case 13:
		return registers->r13;
	case 14:
		return registers->r14;
	case 15:
		return registers->r15;
	}
	return 0;
}

struct native_registers {
	__u64 ip; /* instruction pointer */
	__u64 sp; /* stack pointer */
	__u64 fp; /* frame pointer */
};

static __always_inline void native_registers_read(struct task_struct *task,
						  struct native_registers *native)
{
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(task);

	native->ip = registers->ip;
	native->sp = registers->sp;
	native->fp = registers->bp;
}

#endif
