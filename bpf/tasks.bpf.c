// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Owns the comings and goings: threads that begin and end, processes that run another program. */

#include "code_set.bpf.h"
#include "enroll.bpf.h"
#include "unwind_table.bpf.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(begin_thread, struct task_struct *parent, struct task_struct *child)
{
	if (process_find(child))
		thread_enroll(child, bpf_ktime_get_ns(), THREAD_RUNNABLE);
	return 0;
}

/* Hands over a thread's ledger up to now, as part of the program that it has run until now. */
static __always_inline void ledger_send(struct thread *thread, struct task_struct *task,
					const struct process_config *process)
{
	struct thread_record *record = thread_record_find(THREAD_RECORD_END);

	ledger_run_stop(thread, executed_read(task), bpf_ktime_get_ns());
	if (!record)
		return;
	thread_record_fill(record, thread, task, process);
	emit(record, sizeof(*record), false, LOSS_THREAD_RECORD);
}

static __always_inline void address_space_forget(struct task_struct *task)
{
	__u32 pid = task->tgid;
	struct address_space *space = bpf_map_lookup_elem(&address_spaces, &pid);

	if (space)
		__builtin_memset(space, 0, sizeof(*space));
}

/* All other threads have ended by now, and the process begins anew under another index. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(change_program, struct task_struct *task)
{
	struct process_config *process = process_find(task);
	struct thread *thread = thread_find(task);

	if (!process)
		return 0;
	if (thread) {
		ledger_send(thread, task, process);
		thread_restart(thread, task, bpf_ktime_get_ns());
	}
	process->layout.version = 0;
	address_space_forget(task);
	process->index += PROCESS_INDEX_EXEC;
	process_send(task, RECORD_EXEC, process->index);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(end_thread, struct task_struct *task)
{
	struct thread *thread = thread_find(task);
	struct process_config *process = process_find(task);
	__u32 pid = task->tgid;

	if (!thread || !process)
		return 0;
	ledger_send(thread, task, process);
	thread->mode = THREAD_CLOSED;
	if (!BPF_CORE_READ(task, signal, live.counter)) {
		process_send(task, RECORD_EXIT, process->index);
		bpf_map_delete_elem(&processes, &pid);
		bpf_map_delete_elem(&address_spaces, &pid);
	}
	return 0;
}

/* At the interpreter's code_dealloc(PyCodeObject *): the address may name another one next. */
SEC("uprobe")
int free_code(struct pt_regs *registers)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct process_config *process = bpf_map_lookup_elem(&processes, &pid);
	struct code_set *known = code_set_find();

	if (process && known)
		code_set_remove(known, code_key(process, registers->di, 0));
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
