/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns what poll, select and epoll wait for: the first descriptors of their sets, and the state
 * that follows from the kinds of these.
 */
#ifndef PYEBPF_POLL_BPF_H
#define PYEBPF_POLL_BPF_H

#include "descriptor.bpf.h"
#include "memory.bpf.h"
#include "config.bpf.h"
#include "state.h"

#define POLL_LOOK_MAX 16 /* descriptors of a set that are looked at; a power of two */
#define SELECT_WORDS  16 /* FD_SETSIZE / 64 */

/* Who looks, since one can interrupt the other. */
enum poll_slot { POLL_SWITCH, POLL_RETURN, POLL_SNAPSHOT, POLL_SLOTS };

/* include/uapi/asm-generic/poll.h */
struct poll_entry {
	__s32 descriptor;
	__s16 events;
	__s16 happened;
};

/*
 * A set while it is looked at. In a map, whose content the verifier does not follow: else it would
 * walk every combination of what sixteen descriptors can be.
 */
struct poll_set {
	__u64 kinds; /* how many of each enum descriptor_kind: a byte each, the first lowest */
	__u32 count;
	__s32 descriptors[POLL_LOOK_MAX]; /* the first of them */
	union {
		struct poll_entry entries[POLL_LOOK_MAX]; /* poll */
		__u64 words[3][SELECT_WORDS +
			       1];          /* select: its three sets, and room for the verifier */
		__u64 nodes[POLL_LOOK_MAX]; /* epoll: of its tree */
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, POLL_SLOTS);
	__type(key, __u32);
	__type(value, struct poll_set);
} poll_sets __weak SEC(".maps");

static __always_inline void poll_set_add(struct poll_set *set, __u32 kind, __s32 descriptor)
{
	set->kinds += 1ULL << (kind & 7) * 8;
	set->descriptors[set->count++ & (POLL_LOOK_MAX - 1)] = descriptor;
}

static __always_inline __u32 poll_set_count(const struct poll_set *set, __u32 kind)
{
	return set->kinds >> kind * 8 & 255;
}

static __always_inline __u32 kind_state(__u32 kind)
{
	switch (kind) {
	case DESCRIPTOR_SOCKET:
	case DESCRIPTOR_OWN_SOCKET:
		return STATE_SOCKET;
	case DESCRIPTOR_LISTENER:
		return STATE_ACCEPT;
	case DESCRIPTOR_PIPE:
		return STATE_PIPE;
	case DESCRIPTOR_FILE:
		return STATE_FILE;
	}
	return STATE_OTHER;
}

static __always_inline __u32 descriptor_state(subject_t subject, __u32 descriptor)
{
	struct descriptor_table table = descriptor_table_read(subject_task(subject));
	__u32 state = kind_state(descriptor_kind(table.files, table.owner, descriptor));

	return state == STATE_ACCEPT ? STATE_SOCKET : state;
}

/*
 * In an epoll a process' socket pair with itself only wakes its event loop: with a time-out and
 * nothing else it is a sleep. Pipes and the like beside listeners do not make a server busy.
 */
static __always_inline __u32 poll_set_state(const struct poll_set *set, __u32 wait, bool timed)
{
	__u32 own = poll_set_count(set, DESCRIPTOR_OWN_SOCKET);
	__u32 sockets = poll_set_count(set, DESCRIPTOR_SOCKET);
	__u32 kind;

	if (wait != WAIT_EPOLL) {
		sockets += own;
		own = 0;
	}
	if (set->count == own && timed)
		return STATE_SLEEP;
	if (poll_set_count(set, DESCRIPTOR_LISTENER) && !sockets)
		return STATE_ACCEPT;
	if (set->count != 1 || own)
		return set->count ? STATE_POLL : STATE_OTHER;
	for (kind = DESCRIPTOR_UNKNOWN; kind < DESCRIPTOR_FILE; kind++)
		if (poll_set_count(set, kind))
			break;
	return kind_state(kind);
}

/* Of the loops over a set, which are none to the verifier: it follows a step once. */
struct set_walk {
	struct descriptor_table table;
	struct poll_set *set;
};

static long poll_walk_step(__u32 at, void *context)
{
	struct set_walk *walk = context;
	__s32 descriptor = walk->set->entries[at & (POLL_LOOK_MAX - 1)].descriptor;

	if (descriptor >= 0)
		poll_set_add(walk->set,
			     descriptor_kind(walk->table.files, walk->table.owner, descriptor),
			     descriptor);
	return 0;
}

static __noinline int poll_set_read(subject_t subject, struct syscall *call, struct poll_set *set)
{
	struct set_walk walk = {.table = descriptor_table_read(subject_task(subject)), .set = set};
	__u32 count = call->arguments[1] > POLL_LOOK_MAX ? POLL_LOOK_MAX : call->arguments[1];
	__u32 bytes = count * sizeof(set->entries[0]);

	if (bytes > sizeof(set->entries) ||
	    user_read(set->entries, bytes, call->arguments[0], subject))
		return -1;
	bpf_loop(count, poll_walk_step, &walk, 0);
	return 0;
}

static long select_walk_step(__u32 descriptor, void *context)
{
	struct set_walk *walk = context;
	__u32 word = descriptor / 64;
	__u64 bits;

	if (word >= SELECT_WORDS || walk->set->count >= POLL_LOOK_MAX)
		return 1;
	bits = walk->set->words[0][word] | walk->set->words[1][word] | walk->set->words[2][word];
	if (bits >> (descriptor & 63) & 1)
		poll_set_add(walk->set,
			     descriptor_kind(walk->table.files, walk->table.owner, descriptor),
			     descriptor);
	return 0;
}

static __noinline int select_set_read(subject_t subject, struct syscall *call, struct poll_set *set)
{
	struct set_walk walk = {.set = set};
	__u32 count = call->arguments[0] > 1024 ? 1024 : call->arguments[0];
	__u32 bytes = (count + 63) / 64 * sizeof(__u64);
	__u32 i;

	if (bytes > sizeof(set->words[0]))
		return -1;
	__builtin_memset(set->words, 0, sizeof(set->words));
	for (i = 0; i < 3; i++)
		if (call->arguments[i + 1] &&
		    user_read(set->words[i], bytes, call->arguments[i + 1], subject))
			return -1;
	walk.table = descriptor_table_read(subject_task(subject));
	bpf_loop(count, select_walk_step, &walk, 0);
	return 0;
}

/* nodes[] holds the upper levels of the tree as a heap does: children of n at 2n+1, 2n+2. */
static long epoll_walk_step(__u32 at, void *context)
{
	struct set_walk *walk = context;
	struct poll_set *set = walk->set;
	struct rb_node *node = (struct rb_node *)set->nodes[at & (POLL_LOOK_MAX - 1)];
	struct epitem *item = (void *)node - bpf_core_field_offset(struct epitem, rbn);

	if (!node)
		return 0;
	poll_set_add(set, file_kind((__u64)BPF_CORE_READ(item, ffd.file), walk->table.owner),
		     BPF_CORE_READ(item, ffd.fd));
	if (2 * at + 2 < POLL_LOOK_MAX) {
		set->nodes[(2 * at + 1) & (POLL_LOOK_MAX - 1)] =
			(__u64)BPF_CORE_READ(node, rb_left);
		set->nodes[(2 * at + 2) & (POLL_LOOK_MAX - 1)] =
			(__u64)BPF_CORE_READ(node, rb_right);
	}
	return 0;
}

/* Looks at the first items of the interest set: a tree of struct epitem (fs/eventpoll.c). */
static __noinline int epoll_set_read(subject_t subject, struct syscall *call, struct poll_set *set)
{
	struct set_walk walk = {.table = descriptor_table_read(subject_task(subject)), .set = set};
	struct file *file = descriptor_file(walk.table.files, call->arguments[0]);
	struct eventpoll *eventpoll = (struct eventpoll *)BPF_CORE_READ(file, private_data);

	if (!file || !eventpoll)
		return -1;
	__builtin_memset(set->nodes, 0, sizeof(set->nodes));
	set->nodes[0] = (__u64)BPF_CORE_READ(eventpoll, rbr.rb_root.rb_node);
	bpf_loop(POLL_LOOK_MAX, epoll_walk_step, &walk, 0);
	return 0;
}

static __always_inline bool call_timed(__u32 wait, struct syscall *call)
{
	switch (wait) {
	case WAIT_EPOLL:
		return (__s32)call->arguments[3] >= 0;
	case WAIT_POLL:
		return (__s32)call->arguments[2] >= 0;
	case WAIT_PPOLL:
		return call->arguments[2] != 0;
	}
	return true; /* select's is the fifth argument, which is not read */
}

/* The state of a wait in one of the three; *descriptor becomes the one waited on, if it is one. */
CHECKED_ONCE __u32 poll_state(subject_t subject, struct syscall *call, __u32 wait, __u32 slot,
			      __s32 *descriptor)
{
	struct poll_set *set = bpf_map_lookup_elem(&poll_sets, &slot);
	__u32 state;
	int error;

	if (!set || !call || !descriptor)
		return STATE_POLL;
	set->kinds = 0;
	set->count = 0;
	if (wait == WAIT_POLL || wait == WAIT_PPOLL)
		error = poll_set_read(subject, call, set);
	else if (wait == WAIT_SELECT)
		error = select_set_read(subject, call, set);
	else
		error = epoll_set_read(subject, call, set);
	if (error)
		return STATE_POLL;
	state = poll_set_state(set, wait, call_timed(wait, call));
	/* A wait that its own process alone could end is for nothing. */
	if (set->count == 1 && state != STATE_SLEEP && state != STATE_POLL)
		*descriptor = set->descriptors[0];
	return state;
}

#endif
