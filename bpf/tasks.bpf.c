// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Owns the comings and goings: threads that begin and end, processes that run another program. */

#include "code_set.bpf.h"
#include "follow.bpf.h"

SEC("tp_btf/sched_process_fork")
int BPF_PROG(begin_thread, struct task_struct *parent, struct task_struct *child)
{
	if (child->tgid != parent->tgid)
		process_fork(parent, child);
	else if (process_find(child))
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

/* What is known of a process that runs another program no longer holds. */
static __always_inline void program_end(struct task_struct *task, struct thread *thread,
					const struct process_config *process)
{
	if (thread)
		ledger_send(thread, task, process);
	address_space_forget(task);
}

static __always_inline void program_begin(struct task_struct *task, struct thread *thread,
					  struct process_config *process,
					  const struct program_config *program)
{
	__u64 now = bpf_ktime_get_ns();

	process_take_program(process, program, BPF_CORE_READ(task, mm, start_code));
	if (thread)
		thread_restart(thread, task, now);
	else
		thread_enroll(task, now, THREAD_RUNNING);
}

/*
 * All other threads have ended by now, and the process begins anew under another index. A process
 * that was only followed is passed over where the program is known to be no Python; one that was
 * named by the user is recorded on.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(change_program, struct task_struct *task)
{
	struct process_config *process = process_find_known(task);
	struct thread *thread = thread_find(task);
	const struct program_config *program;
	struct program_key key;
	__u32 previous = 0;
	bool other, recorded;

	if (!process && (follow_scope == FOLLOW_NONE || !following))
		return 0;
	program_key_read(task, &key);
	program = bpf_map_lookup_elem(&programs, &key);
	other = program && program->verdict == FOLLOW_PASS;
	if (!process && (other || !program_is_wanted(task) || !(process = process_add(task))))
		return 0;
	if (process_has_left(process))
		other = true;
	previous = process->index;
	recorded = previous && !(process->flags & PROCESS_PASSED_OVER);
	if (recorded)
		program_end(task, thread, process);
	process->index = index_next();
	if (other && (process->flags & PROCESS_FOLLOWED || process_has_left(process))) {
		if (thread)
			thread->mode = THREAD_NEW; /* it may be taken on again */
		process->flags |= PROCESS_PASSED_OVER;
	} else {
		program_begin(task, thread, process, program);
	}
	if (recorded || !(process->flags & PROCESS_PASSED_OVER))
		exec_send(task, previous, process, &key, program ? program->verdict : 0);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(end_thread, struct task_struct *task)
{
	struct process_config *process = process_find_known(task);
	struct thread *thread = thread_find(task);
	__u32 pid = task->tgid;
	bool passed_over;

	if (!process)
		return 0;
	passed_over = process->flags & PROCESS_PASSED_OVER;
	if (thread && !passed_over)
		ledger_send(thread, task, process);
	if (thread)
		thread->mode = THREAD_CLOSED;
	if (BPF_CORE_READ(task, signal, live.counter))
		return 0;
	if (!passed_over)
		process_send(task, PROCESS_RECORD_EVENT, RECORD_EXIT, process->index);
	bpf_map_delete_elem(&processes, &pid);
	bpf_map_delete_elem(&address_spaces, &pid);
	return 0;
}

/*
 * A process is moved to another cgroup; in version 1 perhaps one thread alone. Loaded only where a
 * cgroup is recorded.
 */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(move_process, struct cgroup *to, const char *path, struct task_struct *task,
	     bool whole)
{
	if (!following || !cgroup_is_of_hierarchy(to))
		return 0;
	if (cgroup_is_followed(to))
		process_join(task);
	else if (whole || task->signal->nr_threads == 1) /* else it is in both */
		process_leave(task);
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
