/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the table of system calls that can block. Those that are not in it count as `other`, or as
 * `file` while the thread waits for a block device.
 */
#include "capture/syscalls.h"

#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "syscall_names.h"

struct syscall_row {
	uint16_t number;
	uint8_t wait;
};

static const struct syscall_row rows[] = {
	{SYS_read, WAIT_DESCRIPTOR},
	{SYS_pread64, WAIT_DESCRIPTOR},
	{SYS_readv, WAIT_DESCRIPTOR},
	{SYS_preadv, WAIT_DESCRIPTOR},
	{SYS_preadv2, WAIT_DESCRIPTOR},
	{SYS_write, WAIT_DESCRIPTOR},
	{SYS_pwrite64, WAIT_DESCRIPTOR},
	{SYS_writev, WAIT_DESCRIPTOR},
	{SYS_pwritev, WAIT_DESCRIPTOR},
	{SYS_pwritev2, WAIT_DESCRIPTOR},
	{SYS_sendfile, WAIT_DESCRIPTOR},
	{SYS_splice, WAIT_DESCRIPTOR},
	{SYS_recvfrom, WAIT_DESCRIPTOR},
	{SYS_recvmsg, WAIT_DESCRIPTOR},
	{SYS_recvmmsg, WAIT_DESCRIPTOR},
	{SYS_sendto, WAIT_DESCRIPTOR},
	{SYS_sendmsg, WAIT_DESCRIPTOR},
	{SYS_sendmmsg, WAIT_DESCRIPTOR},
	{SYS_connect, WAIT_DESCRIPTOR},
	{SYS_shutdown, WAIT_DESCRIPTOR},
	{SYS_ioctl, WAIT_DESCRIPTOR},
	{SYS_fcntl, WAIT_DESCRIPTOR},
	{SYS_flock, WAIT_DESCRIPTOR},
	{SYS_fsync, WAIT_DESCRIPTOR},
	{SYS_fdatasync, WAIT_DESCRIPTOR},
	{SYS_sync_file_range, WAIT_DESCRIPTOR},
	{SYS_syncfs, WAIT_DESCRIPTOR},
	{SYS_fallocate, WAIT_DESCRIPTOR},
	{SYS_ftruncate, WAIT_DESCRIPTOR},
	{SYS_fstat, WAIT_DESCRIPTOR},
	{SYS_getdents64, WAIT_DESCRIPTOR},
	{SYS_readahead, WAIT_DESCRIPTOR},
	{SYS_fadvise64, WAIT_DESCRIPTOR},
	{SYS_copy_file_range, WAIT_DESCRIPTOR},
	{SYS_lseek, WAIT_DESCRIPTOR},
	{SYS_close, WAIT_FILE}, /* the descriptor is free at once: it waits for what is written */
	{SYS_sync, WAIT_FILE},
	{SYS_openat, WAIT_FILE},
	{SYS_newfstatat, WAIT_FILE},
	{SYS_statx, WAIT_FILE},
	{SYS_faccessat, WAIT_FILE},
	{SYS_unlinkat, WAIT_FILE},
	{SYS_renameat2, WAIT_FILE},
	{SYS_mkdirat, WAIT_FILE},
	{SYS_linkat, WAIT_FILE},
	{SYS_symlinkat, WAIT_FILE},
	{SYS_readlinkat, WAIT_FILE},
	{SYS_truncate, WAIT_FILE},
	{SYS_utimensat, WAIT_FILE},
	{SYS_msync, WAIT_FILE},
	{SYS_execve, WAIT_FILE},
	{SYS_accept, WAIT_ACCEPT},
	{SYS_accept4, WAIT_ACCEPT},
	{SYS_ppoll, WAIT_PPOLL},
	{SYS_pselect6, WAIT_SELECT},
	{SYS_epoll_pwait, WAIT_EPOLL},
	{SYS_futex, WAIT_FUTEX},
	{SYS_nanosleep, WAIT_SLEEP},
	{SYS_clock_nanosleep, WAIT_SLEEP},
	{SYS_wait4, WAIT_CHILD},
	{SYS_waitid, WAIT_CHILD},
	{SYS_clone, WAIT_CHILD},
#ifdef SYS_clone3
	{SYS_clone3, WAIT_CHILD},
#endif
#ifdef SYS_epoll_pwait2
	{SYS_epoll_pwait2, WAIT_EPOLL},
#endif
#ifdef __x86_64__ /* older calls that newer machines do not have */
	{SYS_open, WAIT_FILE},
	{SYS_stat, WAIT_FILE},
	{SYS_lstat, WAIT_FILE},
	{SYS_access, WAIT_FILE},
	{SYS_unlink, WAIT_FILE},
	{SYS_rename, WAIT_FILE},
	{SYS_renameat, WAIT_FILE},
	{SYS_mkdir, WAIT_FILE},
	{SYS_rmdir, WAIT_FILE},
	{SYS_creat, WAIT_FILE},
	{SYS_link, WAIT_FILE},
	{SYS_symlink, WAIT_FILE},
	{SYS_readlink, WAIT_FILE},
	{SYS_getdents, WAIT_DESCRIPTOR},
	{SYS_poll, WAIT_POLL},
	{SYS_select, WAIT_SELECT},
	{SYS_epoll_wait, WAIT_EPOLL},
	{SYS_vfork, WAIT_CHILD},
#endif
};

void syscall_waits_fill(uint8_t waits[SYSCALLS_MAX])
{
	size_t i;

	memset(waits, WAIT_OTHER, SYSCALLS_MAX);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].number < SYSCALLS_MAX)
			waits[rows[i].number] = rows[i].wait;
}

const char *syscall_name(int number)
{
	if (number < 0 || (size_t)number >= sizeof(syscall_names) / sizeof(syscall_names[0]))
		return NULL;
	return syscall_names[number];
}
