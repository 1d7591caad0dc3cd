/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns who holds what the threads of a dump wait for, and the cycles in that: deadlocks. A holder
 * is named only if it held the lock at a moment at which the thread waited for it, a cycle only if
 * all of it was so at one and the same moment. Leaves single locks to gil.h and lock_owner.h.
 */
#ifndef PYEBPF_LOCKS_H
#define PYEBPF_LOCKS_H

#include "capture/targets.h"
#include "live/dump.h"

/* Fills in the locks of the dump's threads, and its cycles. Returns 0 or -ENOMEM. */
int locks_find(const struct targets *targets, struct dump *dump);

#endif
