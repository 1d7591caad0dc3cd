/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns what a file descriptor leads to: its kind, which decides the state of a wait on it, and
 * its far end, which a captured wait carries along.
 */
#ifndef PYEBPF_DESCRIPTOR_BPF_H
#define PYEBPF_DESCRIPTOR_BPF_H

#include "kernel.h"
#include "record.h"

#define PATH_BYTES      sizeof(((struct wait_target *)0)->path)
#define PATH_NAMES_MAX  12
#define PATH_MOUNTS_MAX 2 /* mounted one on the other's root */

enum descriptor_kind {
	DESCRIPTOR_UNKNOWN,
	DESCRIPTOR_SOCKET,
	DESCRIPTOR_LISTENER,
	DESCRIPTOR_OWN_SOCKET, /* a socket pair of a process with itself, as asyncio's wake-up */
	DESCRIPTOR_PIPE,       /* and terminals, eventfd and the like */
	DESCRIPTOR_FILE,
};

/*
 * What the functions below need of a thread's process. Plain numbers, not pointers that the
 * verifier follows, so that they can be functions of their own which it checks once.
 */
struct descriptor_table {
	__u64 files; /* struct files_struct * */
	__u64 owner; /* struct pid * of the process */
};

static __always_inline struct descriptor_table descriptor_table_read(struct task_struct *task)
{
	struct descriptor_table table = {
		.files = (__u64)BPF_CORE_READ(task, files),
		.owner = (__u64)BPF_CORE_READ(task, group_leader, thread_pid),
	};

	return table;
}

/* NULL: no such descriptor. */
static __always_inline struct file *descriptor_file(__u64 files, __u32 descriptor)
{
	struct fdtable *table = BPF_CORE_READ((struct files_struct *)files, fdt);
	struct file **all;
	struct file *file = NULL;

	if (descriptor >= BPF_CORE_READ(table, max_fds))
		return NULL;
	all = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), all + descriptor);
	return file;
}

static __always_inline struct sock *file_socket(struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);

	return BPF_CORE_READ(socket, sk);
}

static __always_inline __u32 socket_kind(struct sock *sock, __u64 owner)
{
	__u64 peer;

	if (BPF_CORE_READ(sock, __sk_common.skc_state) == SOCKET_LISTENING)
		return DESCRIPTOR_LISTENER;
	if (BPF_CORE_READ(sock, __sk_common.skc_family) != FAMILY_UNIX)
		return DESCRIPTOR_SOCKET;
	peer = (__u64)BPF_CORE_READ(sock, sk_peer_pid);
	return peer && peer == owner ? DESCRIPTOR_OWN_SOCKET : DESCRIPTOR_SOCKET;
}

/* `address` of a struct file; `owner` see struct descriptor_table. */
__weak __u32 file_kind(__u64 address, __u64 owner)
{
	struct file *file = (struct file *)address;
	struct inode *inode = file ? BPF_CORE_READ(file, f_inode) : NULL;
	__u16 type;

	if (!inode)
		return DESCRIPTOR_UNKNOWN;
	type = BPF_CORE_READ(inode, i_mode) & FILE_TYPE_MASK;
	if (type == FILE_TYPE_SOCKET)
		return socket_kind(file_socket(file), owner);
	if (type == FILE_TYPE_FIFO || type == FILE_TYPE_CHARACTER ||
	    BPF_CORE_READ(inode, i_sb, s_magic) == ANON_INODE_MAGIC)
		return DESCRIPTOR_PIPE;
	return DESCRIPTOR_FILE;
}

__weak __u32 descriptor_kind(__u64 files, __u64 owner, __u32 descriptor)
{
	return file_kind((__u64)descriptor_file(files, descriptor), owner);
}

static __always_inline void target_read_inet(struct sock *sock, struct wait_target *target,
					     bool six)
{
	target->kind = six ? TARGET_INET6 : TARGET_INET;
	target->local_port = BPF_CORE_READ(sock, __sk_common.skc_num);
	if (!target->local_port) /* given back: the connection has been closed by both sides */
		target->local_port =
			__builtin_bswap16(BPF_CORE_READ((struct inet_sock *)sock, inet_sport));
	target->peer_port = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
	if (!six)
		BPF_CORE_READ_INTO(&target->address, sock, __sk_common.skc_daddr);
	else if (bpf_core_field_exists(sock->__sk_common.skc_v6_daddr))
		bpf_probe_read_kernel(target->address, sizeof(target->address),
				      &sock->__sk_common.skc_v6_daddr);
}

/* The path is the peer's, or on a server's side, whose peers have none, its own. */
static __always_inline void target_read_unix(struct sock *sock, struct wait_target *target)
{
	struct unix_sock *here = (struct unix_sock *)sock;
	struct unix_sock *peer = (struct unix_sock *)BPF_CORE_READ(here, peer);
	struct unix_address *address = BPF_CORE_READ(peer, addr);
	__u32 bytes;

	if (!address)
		address = BPF_CORE_READ(here, addr);
	target->kind = TARGET_UNIX;
	if (!address)
		return;
	/* A name in the abstract space has no end of its own. */
	bytes = BPF_CORE_READ(address, len) - bpf_core_field_offset(struct sockaddr_un, sun_path);
	if (bytes > sizeof(target->path))
		bytes = sizeof(target->path);
	bpf_probe_read_kernel(target->path, bytes,
			      (void *)address + bpf_core_field_offset(address->name) +
				      bpf_core_field_offset(struct sockaddr_un, sun_path));
}

/* From the root of a mount to the entry that it is mounted on, which has the name. */
static __always_inline void path_leave_mounts(struct dentry **dentry, struct mount **mount)
{
	struct mount *parent;
	__u32 left;

	for (left = 0; left < PATH_MOUNTS_MAX; left++) {
		parent = BPF_CORE_READ(*mount, mnt_parent);
		if (*dentry != BPF_CORE_READ(*mount, mnt.mnt_root) || !parent || parent == *mount)
			return;
		*dentry = BPF_CORE_READ(*mount, mnt_mountpoint);
		*mount = parent;
	}
}

/* The names from the file's on upwards, as many as there is room for; see struct wait_target. */
static __always_inline void target_read_name(struct file *file, struct wait_target *target)
{
	struct vfsmount *inner = BPF_CORE_READ(file, f_path.mnt);
	struct mount *mount = (void *)inner - bpf_core_field_offset(struct mount, mnt);
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry), *parent;
	__u64 used = 0;
	long bytes;
	__u32 names;

	target->inode = BPF_CORE_READ(file, f_inode, i_ino);
	for (names = 0; names < PATH_NAMES_MAX && used < sizeof(target->path); names++) {
		path_leave_mounts(&dentry, &mount);
		bytes = bpf_probe_read_kernel_str(target->path + bounded(used, PATH_BYTES - 1),
						  bounded(PATH_BYTES - used, PATH_BYTES),
						  BPF_CORE_READ(dentry, d_name.name));
		parent = BPF_CORE_READ(dentry, d_parent);
		if (bytes <= 0 || parent == dentry)
			return;
		used += bytes;
		dentry = parent;
	}
}

/* Fills *target, which must be zero, with what a socket leads to. */
static __always_inline void target_read_socket(struct sock *sock, struct wait_target *target)
{
	__u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);

	if (family == FAMILY_UNIX)
		target_read_unix(sock, target);
	else if (family == FAMILY_INET || family == FAMILY_INET6)
		target_read_inet(sock, target, family == FAMILY_INET6);
}

/*
 * Fills *target, which must be zero, with what a wait on the descriptor is for. As many bytes as a
 * path has must follow it in the same map: the verifier does not see that they are never written.
 */
static __noinline void target_read(struct task_struct *task, __u32 descriptor,
				   struct wait_target *target)
{
	struct descriptor_table table = descriptor_table_read(task);
	struct file *file = descriptor_file(table.files, descriptor);
	__u32 kind = file_kind((__u64)file, table.owner);

	if (kind == DESCRIPTOR_UNKNOWN)
		return;
	if (kind == DESCRIPTOR_FILE || kind == DESCRIPTOR_PIPE) {
		target->kind = kind == DESCRIPTOR_FILE ? TARGET_FILE : TARGET_PIPE;
		target_read_name(file, target);
		return;
	}
	target_read_socket(file_socket(file), target);
}

#endif
