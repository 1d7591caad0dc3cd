/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the kernel's types as far as the programs use them. Only names and kinds of fields matter:
 * the loader relocates every access to the running kernel's own layout (CO-RE), so this file does
 * not depend on the kernel of the machine that builds. A type with a suffix `___` is what a field
 * looked like in other kernels.
 */
#ifndef PYEBPF_KERNEL_H
#define PYEBPF_KERNEL_H

#define __VMLINUX_H__ /* has bpf_tracing.h call registers what the kernel calls them */

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* arch/x86/include/asm/ptrace.h, and the part of thread_struct with the thread pointer. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bx, r11, ax, cx;
	unsigned long r10, r9, r8, dx, si, di, orig_ax, ip, sp, bp;
};

struct thread_struct {
	unsigned long fsbase;
};

struct sched_entity {
	__u64 exec_start;
	__u64 sum_exec_runtime;
	__u64 prev_sum_exec_runtime; /* when it was last given a CPU */
};

struct sched_info {
	unsigned long long last_arrival; /* the scheduler's clock when it was last given a CPU */
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
	long long i_size;
	long long i_mtime_sec;
	unsigned int i_mtime_nsec;
	struct super_block *i_sb;
};

struct timespec64 {
	long long tv_sec;
	long tv_nsec;
};

/* Before Linux 6.7, commit 12cd44023651, and from then to 6.11, commit 3aa63a569c64. */
struct inode___timespec {
	struct timespec64 i_mtime;
};

struct inode___private_timespec {
	struct timespec64 __i_mtime;
};

struct file {
	struct inode *f_inode;
	void *private_data;
	struct path f_path;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int nr_threads;
};

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
};

struct bpf_local_storage;

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_root {
	int hierarchy_id; /* 0: version 2 */
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup *dfl_cgrp; /* of version 2 */
};

struct page;

struct mm_struct {
	unsigned long exec_vm;
	unsigned long start_code;
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
};

struct task_struct {
	unsigned int __state;
	unsigned int on_cpu; /* int, u8 from Linux 7.2 on: only unsigned may differ in size */
	struct sched_entity se;
	unsigned int flags;
	struct sched_info sched_info;
	unsigned in_iowait : 1;
	int pid;
	int tgid;
	struct pid *thread_pid;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct css_set *cgroups;
	char comm[16];
	struct bpf_local_storage *bpf_storage;
	unsigned long nvcsw;
	unsigned long nivcsw;
	struct thread_struct thread;
} __attribute__((preserve_access_index));

/* Before Linux 5.14, commit 2f064a59a11f: `state`, a long. */
struct task_struct___state {
	volatile long state;
};

struct in6_addr {
	__u8 in6_u[16];
};

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	__be32 skc_daddr;
	__be16 skc_dport;
	__u16 skc_num;
	struct in6_addr skc_v6_daddr;
};

struct sk_buff;

struct sk_buff_head {
	struct sk_buff *next;
};

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	unsigned char sk_shutdown;
	int sk_err;
	struct pid *sk_peer_pid;
};

struct inet_sock {
	__be16 inet_sport;
};

struct request_sock;

struct request_sock_queue {
	struct request_sock *rskq_accept_head;
};

struct inet_connection_sock {
	struct request_sock_queue icsk_accept_queue;
};

struct pipe_inode_info {
	unsigned int head;
	unsigned int tail;
	unsigned int writers;
};

struct socket {
	struct sock *sk;
};

struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct sock *peer;
};

struct rb_node {
	unsigned long __rb_parent_color;
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

struct list_head {
	struct list_head *next;
};

struct eventpoll {
	struct list_head rdllist;
	struct rb_root_cached rbr;
};

struct epoll_filefd {
	struct file *file;
	int fd;
};

struct epitem {
	struct rb_node rbn;
	struct list_head rdllink;
	struct epoll_filefd ffd;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

/* include/linux/sched.h */
#define TASK_RUNNING_STATE       0x0000
#define TASK_INTERRUPTIBLE_STATE 0x0001
#define TASK_UNINTERRUPTIBLE     0x0002
#define TASK_STOPPED_STATE       0x0004
#define TASK_TRACED_STATE        0x0008
#define TASK_FROZEN_STATE        0x8000
#define TASK_EXITING             0x0004 /* PF_EXITING, in `flags` */

/* include/uapi/linux/stat.h, include/uapi/linux/magic.h, include/net/tcp_states.h, socket.h */
#define FILE_TYPE_MASK      0170000
#define FILE_TYPE_SOCKET    0140000
#define FILE_TYPE_REGULAR   0100000
#define FILE_TYPE_BLOCK     0060000
#define FILE_TYPE_DIRECTORY 0040000
#define FILE_TYPE_CHARACTER 0020000
#define FILE_TYPE_FIFO      0010000
#define ANON_INODE_MAGIC    0x09041934
#define SOCKET_LISTENING    10
#define RECEIVING_SHUTDOWN  1
#define FAMILY_UNIX         1
#define FAMILY_INET         2
#define FAMILY_INET6        10

#endif
