/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns what a captured wait in poll, select or epoll says of its descriptors: how many there are,
 * and which of them was ready when the thread came back. Leaves to poll.bpf.h the state.
 */
#ifndef PYEBPF_READY_BPF_H
#define PYEBPF_READY_BPF_H

#include "poll.bpf.h"

#define READY_COUNT_STEPS 512 /* two for each item of an epoll set that is counted */

struct tree_count {
	__u64 node, from; /* struct rb_node *; 0: none */
	__u32 count;
};

/* Goes along one edge of the tree: down to the left, down to the right, then up again. */
static long tree_count_step(__u32 step, void *context)
{
	struct tree_count *walk = context;
	struct rb_node *node = (struct rb_node *)walk->node;
	__u64 parent, left, right, next;

	if (!node)
		return 1;
	parent = BPF_CORE_READ(node, __rb_parent_color) & ~3ULL;
	left = (__u64)BPF_CORE_READ(node, rb_left);
	right = (__u64)BPF_CORE_READ(node, rb_right);
	if (walk->from == parent) {
		walk->count++;
		next = left ? left : right ? right : parent;
	} else {
		next = walk->from == left && right ? right : parent;
	}
	walk->from = (__u64)node;
	walk->node = next;
	return 0;
}

static __always_inline __u32 epoll_count(struct eventpoll *eventpoll)
{
	struct tree_count walk = {};

	walk.node = (__u64)BPF_CORE_READ(eventpoll, rbr.rb_root.rb_node);
	bpf_loop(READY_COUNT_STEPS, tree_count_step, &walk, 0);
	return walk.count;
}

/* The first item of the list of those that are ready; -1: there is none. */
static __always_inline __s32 epoll_ready(struct eventpoll *eventpoll)
{
	struct list_head *first = BPF_CORE_READ(eventpoll, rdllist.next);
	struct epitem *item = (void *)first - bpf_core_field_offset(struct epitem, rdllink);

	if (!first ||
	    (void *)first == (void *)eventpoll + bpf_core_field_offset(eventpoll->rdllist))
		return -1;
	return BPF_CORE_READ(item, ffd.fd);
}

static __always_inline bool socket_ready(struct sock *sock)
{
	struct inet_connection_sock *listener = (struct inet_connection_sock *)sock;
	void *queue = (void *)sock + bpf_core_field_offset(sock->sk_receive_queue);

	if (BPF_CORE_READ(sock, __sk_common.skc_state) == SOCKET_LISTENING &&
	    BPF_CORE_READ(sock, __sk_common.skc_family) != FAMILY_UNIX)
		return BPF_CORE_READ(listener, icsk_accept_queue.rskq_accept_head);
	return (void *)BPF_CORE_READ(sock, sk_receive_queue.next) != queue ||
	       BPF_CORE_READ(sock, sk_shutdown) & RECEIVING_SHUTDOWN || BPF_CORE_READ(sock, sk_err);
}

/* Whether there is something to read, or nothing more will come. `address` is of a struct file. */
__weak int file_ready(__u64 address)
{
	struct file *file = (struct file *)address;
	struct pipe_inode_info *pipe;
	__u16 type;

	if (!file)
		return 0;
	type = BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE_MASK;
	if (type == FILE_TYPE_SOCKET)
		return socket_ready(file_socket(file));
	if (type != FILE_TYPE_FIFO)
		return 0;
	pipe = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(pipe, head) != BPF_CORE_READ(pipe, tail) ||
	       !BPF_CORE_READ(pipe, writers);
}

static __always_inline __u32 select_count(const struct poll_set *set)
{
	__u32 count = 0, word;

	for (word = 0; word < SELECT_WORDS; word++)
		count += __builtin_popcountll(set->words[0][word] | set->words[1][word] |
					      set->words[2][word]);
	return count;
}

struct ready_walk {
	__u64 files;
	const struct poll_set *set;
	__s32 ready; /* the first that is; -1: none */
	__u32 pad;
};

static long ready_walk_step(__u32 at, void *context)
{
	struct ready_walk *walk = context;
	__s32 descriptor;

	if (at >= POLL_LOOK_MAX)
		return 1;
	descriptor = walk->set->descriptors[at & (POLL_LOOK_MAX - 1)];
	if (!file_ready((__u64)descriptor_file(walk->files, descriptor)))
		return 0;
	walk->ready = descriptor;
	return 1;
}

/*
 * Returns how many descriptors the thread's system call waits for; 0: it is not known. *descriptor
 * becomes the first found to be ready, of those that are looked at; unchanged: none is.
 */
CHECKED_ONCE __u32 ready_find(subject_t subject, __u32 slot, __s32 *descriptor)
{
	struct poll_set *set = bpf_map_lookup_elem(&poll_sets, &slot);
	struct descriptor_table table = descriptor_table_read(subject_task(subject));
	struct ready_walk walk = {.files = table.files, .set = set, .ready = -1};
	__u32 wait, count;
	struct syscall call;
	__s32 unused;

	syscall_read(subject_task(subject), &call);
	wait = call.number >= 0 && call.number < SYSCALLS_MAX ? syscall_waits[call.number]
							      : WAIT_OTHER;
	if (!set || !descriptor || wait < WAIT_POLL || wait > WAIT_EPOLL)
		return 0;
	poll_state(subject, &call, wait, slot, &unused);
	count = set->count;
	if (wait == WAIT_EPOLL) {
		struct file *file = descriptor_file(table.files, call.arguments[0]);
		struct eventpoll *eventpoll = (struct eventpoll *)BPF_CORE_READ(file, private_data);

		count = epoll_count(eventpoll);
		walk.ready = epoll_ready(eventpoll);
	} else if (wait == WAIT_SELECT) {
		count = select_count(set);
	} else if (call.arguments[1] > POLL_LOOK_MAX) {
		count = call.arguments[1];
	}
	if (walk.ready < 0)
		bpf_loop(set->count, ready_walk_step, &walk, 0);
	if (walk.ready >= 0)
		*descriptor = walk.ready;
	return count < 65535 ? count : 65535;
}

#endif
