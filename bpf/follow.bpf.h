/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns how processes become known by themselves: as children of known ones, or, where a cgroup or
 * the whole host is recorded, by the program that they run. A program that was seen before is told
 * by its file, so that its processes are recorded from their first instruction on, and those
 * without Python cost a look-up at each exec.
 */
#ifndef PYEBPF_FOLLOW_BPF_H
#define PYEBPF_FOLLOW_BPF_H

#include "collection.bpf.h"
#include "enroll.bpf.h"
#include "process.bpf.h"
#include "scope.bpf.h"
#include "unwind_table.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct program_key);
	__type(value, struct program_config);
} programs __weak SEC(".maps");

/* A process of which nothing is known yet: all zero. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_config);
} new_process __weak SEC(".maps");

__u32 index_count __weak = 0; /* given by the kernel side */
__u32 following __weak = 0;   /* the recording has begun: see enum follow_scope */

static __always_inline __u32 index_next(void)
{
	return PROCESS_INDEX_KERNEL + __sync_fetch_and_add(&index_count, 1);
}

static __always_inline void inode_time_read(struct inode *inode, struct program_key *key)
{
	struct inode___timespec *old = (void *)inode;
	struct inode___private_timespec *private = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime_sec)) {
		key->changed_s = BPF_CORE_READ(inode, i_mtime_sec);
		key->changed_ns = BPF_CORE_READ(inode, i_mtime_nsec);
	} else if (bpf_core_field_exists(private->__i_mtime)) {
		key->changed_s = BPF_CORE_READ(private, __i_mtime.tv_sec);
		key->changed_ns = BPF_CORE_READ(private, __i_mtime.tv_nsec);
	} else {
		key->changed_s = BPF_CORE_READ(old, i_mtime.tv_sec);
		key->changed_ns = BPF_CORE_READ(old, i_mtime.tv_nsec);
	}
}

/* Tells the file that a process runs. All zero: not known. */
static __always_inline void program_key_read(struct task_struct *task, struct program_key *key)
{
	struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);

	__builtin_memset(key, 0, sizeof(*key));
	if (!inode)
		return;
	key->device = BPF_CORE_READ(inode, i_sb, s_dev);
	key->inode = BPF_CORE_READ(inode, i_ino);
	key->size = BPF_CORE_READ(inode, i_size);
	inode_time_read(inode, key);
}

static __always_inline void address_move(__u64 *address, __u64 by)
{
	if (*address)
		*address += by;
}

/* Gives the process what is known of the program that it has just begun; NULL: nothing. */
static __always_inline void process_take_program(struct process_config *process,
						 const struct program_config *program,
						 __u64 start_code)
{
	__u32 index = process->index, flags = process->flags & ~PROCESS_PASSED_OVER;

	process->layout.version = 0;
	if (program && program->verdict == FOLLOW_PYTHON) {
		*process = program->process;
		address_move(&process->runtime, start_code);
		address_move(&process->code_type, start_code);
		address_move(&process->text_start, start_code);
		address_move(&process->text_end, start_code);
		address_move(&process->loop_start[0], start_code);
		address_move(&process->loop_start[1], start_code);
		address_move(&process->loop_end[0], start_code);
		address_move(&process->loop_end[1], start_code);
	}
	process->index = index;
	process->flags = flags;
}

/* Makes a process known. NULL: there is no room for it, which is counted. */
static __always_inline struct process_config *process_add(struct task_struct *task)
{
	__u32 zero = 0, pid = task->tgid;
	struct process_config *process = bpf_map_lookup_elem(&new_process, &zero);

	if (!process)
		return NULL;
	if (bpf_map_update_elem(&processes, &pid, process, BPF_NOEXIST)) {
		loss_count(LOSS_PROCESS);
		return NULL;
	}
	process = bpf_map_lookup_elem(&processes, &pid);
	if (process)
		process->flags = PROCESS_FOLLOW | PROCESS_FOLLOWED;
	return process;
}

static __always_inline void exec_send(struct task_struct *task, __u32 previous,
				      const struct process_config *process,
				      const struct program_key *key, __u32 kind)
{
	struct process_record *record =
		process_record_begin(PROCESS_RECORD_EVENT, RECORD_EXEC, task, process->index);
	struct mm_struct *memory = task->mm;
	__u64 bytes;

	if (!record || !memory)
		return;
	record->previous = previous;
	record->cgroup = bpf_get_current_cgroup_id();
	record->program = *key;
	record->verdict = kind;
	record->start_code = memory->start_code;
	record->passed_over = !!(process->flags & PROCESS_PASSED_OVER);
	bytes = bounded(memory->arg_end - memory->arg_start, ARGUMENTS_BYTES_MAX);
	if (!bpf_probe_read_user(record->arguments, bytes, (void *)memory->arg_start))
		record->arguments_bytes = bytes;
	emit_urgent(record, sizeof(*record), LOSS_THREAD_RECORD);
}

/* Copies what is known of the native code and the collections of a process that has forked. */
static __always_inline void fork_copy_maps(__u32 parent, __u32 child)
{
	const struct address_space *space = bpf_map_lookup_elem(&address_spaces, &parent);
	struct collections *counts = bpf_map_lookup_elem(&collections, &parent);

	if (space)
		bpf_map_update_elem(&address_spaces, &child, space, BPF_ANY);
	if (!counts)
		return;
	bpf_map_update_elem(&collections, &child, counts, BPF_ANY);
	counts = bpf_map_lookup_elem(&collections, &child);
	if (counts)
		__builtin_memset(counts, 0, sizeof(*counts));
}

/*
 * A process has come into the recorded cgroup: what it runs from now on is seen here, and user
 * space is to see what it runs already.
 */
static __always_inline void process_join(struct task_struct *task)
{
	struct process_config *process = process_find_known(task);

	if (process && process->flags & PROCESS_FOLLOW)
		return;
	if (process)
		process->flags |= PROCESS_FOLLOW;
	else if ((process = process_add(task)))
		process->flags |= PROCESS_PASSED_OVER;
	if (process && process->flags & PROCESS_PASSED_OVER)
		process_send(task, PROCESS_RECORD_EVENT, RECORD_JOIN, 0);
}

/* It has left: it is recorded on, but neither what it starts nor the next program that it runs. */
static __always_inline void process_leave(struct task_struct *task)
{
	struct process_config *process = process_find_known(task);

	if (process)
		process->flags &= ~PROCESS_FOLLOW;
}

/* Whether a process that is not followed is to be, by the program that it begins to run. */
static __always_inline bool program_is_wanted(struct task_struct *task)
{
	return follow_scope == FOLLOW_HOST ||
	       (follow_scope == FOLLOW_CGROUP && cgroup_is_followed(task_cgroup(task)));
}

/* Whether a process' next program is of no interest: it has left the recorded cgroup. */
static __always_inline bool process_has_left(const struct process_config *process)
{
	return follow_scope == FOLLOW_CGROUP && !(process->flags & PROCESS_FOLLOW);
}

/* A new process, before it runs: if its parent is followed it is what its parent is. */
static __always_inline void process_fork(struct task_struct *parent, struct task_struct *child)
{
	const struct process_config *from = process_find_known(parent);
	__u32 pid = child->tgid;
	struct process_config *process;
	struct process_record *record;

	if (child_is_elsewhere(parent, child) && !cgroup_is_followed(task_cgroup(child)))
		return;
	if (!from || !(from->flags & PROCESS_FOLLOW)) {
		if (following && child_is_elsewhere(parent, child))
			process_join(child);
		return;
	}
	if (bpf_map_update_elem(&processes, &pid, from, BPF_ANY)) {
		loss_count(LOSS_PROCESS);
		return;
	}
	process = bpf_map_lookup_elem(&processes, &pid);
	if (!process)
		return;
	process->flags |= PROCESS_FOLLOWED;
	if (process->flags & PROCESS_PASSED_OVER)
		return;
	process->index = index_next();
	fork_copy_maps(parent->tgid, pid);
	thread_enroll(child, bpf_ktime_get_ns(), THREAD_RUNNABLE);
	record = process_record_begin(PROCESS_RECORD_EVENT, RECORD_FORK, child, process->index);
	if (!record)
		return;
	record->previous = from->index;
	record->parent = parent->tgid;
	record->cgroup = bpf_get_current_cgroup_id();
	record->head.size = offsetof(struct process_record, arguments);
	emit(record, offsetof(struct process_record, arguments), false, LOSS_THREAD_RECORD);
}

#endif
