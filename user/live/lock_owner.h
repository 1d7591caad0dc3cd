/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns telling from a process' memory which lock a futex belongs to and who holds it, where that
 * can be proven: the C library's mutexes and threading.RLock. A threading.Lock, a semaphore and a
 * condition do not know who holds them. Leaves the GIL to gil.h, the kernel's side to futex_wait.h.
 */
#ifndef PYEBPF_LOCK_OWNER_H
#define PYEBPF_LOCK_OWNER_H

#include <stdint.h>

#include "config.h"
#include "live/futex_wait.h"
#include "target/maps.h"
#include "target/process.h"

/*
 * The mutex of glibc that a thread waits for. Stores the owner's id as the owner itself knows it
 * (gettid(), in its own pid namespace). Returns 0 or -ENOENT: not proven to be such a mutex.
 */
int mutex_owner_find(const struct process *process, const struct maps *maps,
		     const struct futex_wait *wait, uint32_t *tid);

/*
 * The threading.RLock that a thread waits for. Stores the owner's threading.get_ident(), the
 * pthread_t. Returns 0 or -ENOENT: not proven to be one.
 */
int recursive_owner_find(const struct process *process, const struct process_config *config,
			 const struct futex_wait *wait, uint64_t *ident);

#endif
