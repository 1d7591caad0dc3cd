/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the layouts of mutexes and RLocks in memory; see lock_owner.h. */
#include "live/lock_owner.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <string.h>

#define MUTEX_CONTENDED 2
#define KIND_RECURSIVE  1     /* PTHREAD_MUTEX_RECURSIVE_NP */
#define KIND_TYPES      3     /* the types' bits; the rest are: */
#define KIND_FLAGS      0x780 /* process-shared, and the two of lock elision */

#define STACK_BYTES     8192 /* looked at of a thread's stack, from its innermost frame on */
#define WORDS           (4096 / 8)

/*
 * glibc's struct __pthread_mutex_s on 64 bits (sysdeps/x86/nptl/bits/struct_mutex.h), the same
 * since 2.0 in these fields. `owner` is set once the lock is taken, and cleared before it is let
 * go (nptl/pthread_mutex_lock.c).
 */
struct mutex {
	int32_t lock;
	uint32_t count;
	int32_t owner;
	uint32_t users;
	int32_t kind;
	int16_t spins;
	int16_t elision;
	uint64_t previous, next; /* only of robust mutexes */
};

static bool is_library(const struct mapping *mapping)
{
	const char *name = mapping ? strrchr(mapping->path, '/') : NULL;

	if (!name || !mapping->executable)
		return false;
	name++;
	return !strncmp(name, "libc.so.6", 9) || !strncmp(name, "libc-2.", 7) ||
	       !strncmp(name, "libpthread.so.0", 15) || !strncmp(name, "libpthread-2.", 13);
}

/*
 * Whether the C library called the kernel for itself: from nowhere else come its mutexes. Others'
 * locks (Rust's for one) get there by its function syscall(), which has no frame but the address
 * that it returns to.
 */
static bool called_by_library(const struct process *process, const struct maps *maps,
			      const struct futex_wait *wait)
{
	const struct mapping *caller;
	uint64_t word;

	if (!is_library(maps_find(maps, wait->instruction)) ||
	    process_read(process, wait->stack, &word, sizeof(word)))
		return false;
	caller = maps_find(maps, word);
	return !caller || !caller->executable || is_library(caller);
}

/*
 * What else could lie at the address, a lock of the library's own use for example, is told apart by
 * all fields: one thread owns it, it is in use, and its depth fits its kind.
 */
static bool mutex_valid(const struct mutex *mutex)
{
	int32_t type = mutex->kind & KIND_TYPES;

	if (mutex->lock != MUTEX_CONTENDED || mutex->owner <= 0 || !mutex->users ||
	    mutex->users > INT32_MAX)
		return false;
	if (mutex->kind & ~(KIND_TYPES | KIND_FLAGS) || mutex->previous || mutex->next)
		return false;
	return type == KIND_RECURSIVE ? mutex->count > 0 : !mutex->count;
}

int mutex_owner_find(const struct process *process, const struct maps *maps,
		     const struct futex_wait *wait, uint32_t *tid)
{
	struct mutex mutex;

	/* The kernel itself keeps the owner of one with priority inheritance in the futex. */
	if (wait->command == FUTEX_LOCK_PI || wait->command == FUTEX_LOCK_PI2) {
		uint32_t word;

		if (process_read(process, wait->address, &word, sizeof(word)) ||
		    !(word & FUTEX_TID_MASK))
			return -ENOENT;
		*tid = word & FUTEX_TID_MASK;
		return 0;
	}
	if (wait->command != FUTEX_WAIT || wait->value != MUTEX_CONTENDED ||
	    !called_by_library(process, maps, wait) ||
	    process_read(process, wait->address, &mutex, sizeof(mutex)) || !mutex_valid(&mutex))
		return -ENOENT;
	*tid = (uint32_t)mutex.owner;
	return 0;
}

/*
 * An RLock, behind the object's head: up to 3.13 (Modules/_threadmodule.c, rlockobject), and from 3.14
 * on, where the first word is a PyMutex of one byte (Include/cpython/lock.h, _PyRecursiveMutex).
 */
struct recursive {
	uint64_t lock; /* address of the semaphore that is the lock, or a PyMutex */
	uint64_t owner;
	uint64_t count;
};

#define PARKING_VERSION 0x030e /* 3.14: threads wait in a parking lot instead of at the lock */

#define PARKED_BITS     3 /* _Py_LOCKED, _Py_HAS_PARKED */

/* Whether the object at the address is of the type _thread.RLock. */
static bool is_recursive(const struct process *process, const struct python_layout *layout,
			 uint64_t object)
{
	static const char wanted[] = "_thread.RLock";
	uint32_t name_offset = layout->bytes_size + 8; /* tp_name follows ob_size */
	uint64_t type, name;
	char text[sizeof(wanted)];

	if (process_read(process, object + layout->object_type, &type, sizeof(type)) ||
	    process_read(process, type + name_offset, &name, sizeof(name)) ||
	    process_read(process, name, text, sizeof(text)))
		return false;
	return !memcmp(text, wanted, sizeof(wanted));
}

/*
 * From 3.14 on a waiting thread has a struct wait_entry on its stack (Python/parking_lot.c), with
 * the address that it waits for right before the semaphore that it sleeps on.
 */
static int parked_owner_find(const struct process *process, const struct python_layout *layout,
			     const struct futex_wait *wait, uint64_t *ident)
{
	uint64_t mutex, head = layout->object_type + 8;
	struct recursive lock;

	if (wait->address < wait->stack || wait->address - wait->stack > STACK_BYTES ||
	    process_read(process, wait->address - 8, &mutex, sizeof(mutex)) || mutex < head ||
	    process_read(process, mutex, &lock, sizeof(lock)))
		return -ENOENT;
	if ((lock.lock & PARKED_BITS) != PARKED_BITS || !lock.owner ||
	    !is_recursive(process, layout, mutex - head))
		return -ENOENT;
	*ident = lock.owner;
	return 0;
}

/*
 * Whether an RLock whose semaphore is the futex lies at the address. It is a living one: the first
 * word of a freed object is none or an address, not a count of references.
 */
static bool recursive_matches(const struct process *process, const struct python_layout *layout,
			      uint64_t object, uint64_t futex, struct recursive *lock)
{
	uint64_t references;

	if (object % 16 || object < 65536 || object >> 47 ||
	    process_read(process, object + layout->object_type + 8, lock, sizeof(*lock)) ||
	    lock->lock != futex || !lock->owner || !lock->count)
		return false;
	return !process_read(process, object, &references, sizeof(references)) && references &&
	       references <= UINT32_MAX && is_recursive(process, layout, object);
}

/*
 * Up to 3.13 the thread's C stack holds the address of the RLock that it acquires: the function
 * needs it again once the lock is taken. That the RLock's semaphore is the futex proves it.
 */
static int stack_owner_find(const struct process *process, const struct python_layout *layout,
			    const struct futex_wait *wait, uint64_t *ident)
{
	uint64_t words[WORDS], at = wait->stack & ~7ULL, end = wait->stack + STACK_BYTES;
	struct recursive lock;

	while (at < end) {
		size_t bytes = 4096 - at % 4096, i;

		if (process_read(process, at, words, bytes))
			return -ENOENT;
		for (i = 0; i < bytes / 8; i++) {
			/* Stacks hold many of their own addresses. */
			if (words[i] - wait->stack < STACK_BYTES ||
			    !recursive_matches(process, layout, words[i], wait->address, &lock))
				continue;
			*ident = lock.owner;
			return 0;
		}
		at += bytes;
	}
	return -ENOENT;
}

int recursive_owner_find(const struct process *process, const struct process_config *config,
			 const struct futex_wait *wait, uint64_t *ident)
{
	const struct python_layout *layout = &config->layout;

	if (wait->command != FUTEX_WAIT && wait->command != FUTEX_WAIT_BITSET)
		return -ENOENT;
	if (layout->version >= PARKING_VERSION)
		return parked_owner_find(process, layout, wait, ident);
	return stack_owner_find(process, layout, wait, ident);
}
