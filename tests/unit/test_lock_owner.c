/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that owners of the C library's mutexes are found, and that no other lock passes for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "live/lock_owner.h"

/* A thread that calls a function which waits, until `release` is called. */
struct waiter {
	pthread_t thread;
	_Atomic uint32_t tid;
	void (*wait)(void *lock);
	void *lock;
};

static void *waiter_run(void *context)
{
	struct waiter *waiter = context;

	waiter->tid = (uint32_t)syscall(SYS_gettid);
	waiter->wait(waiter->lock);
	return NULL;
}

static void waiter_start(struct waiter *waiter, void (*wait)(void *), void *lock)
{
	*waiter = (struct waiter){.wait = wait, .lock = lock};
	assert_int_equal(pthread_create(&waiter->thread, NULL, waiter_run, waiter), 0);
}

/* What the thread waits for, once it does so on a futex in `size` bytes from `lock` on. */
static void wait_await(struct waiter *waiter, size_t size, struct futex_wait *wait)
{
	int attempt;

	for (attempt = 0; attempt < 2000; attempt++) {
		if (waiter->tid && !futex_wait_read(getpid(), waiter->tid, wait) &&
		    wait->address - (uintptr_t)waiter->lock < size)
			return;
		usleep(5000);
	}
	fail_msg("the thread never came to wait");
}

/* The owner as found; 0: none. */
static uint32_t owner_of(const struct futex_wait *wait)
{
	const struct process self = {.pid = getpid(), .door = getpid(), .pidfd = -1};
	struct maps maps;
	uint32_t tid = 0;

	assert_int_equal(maps_read(&self, &maps), 0);
	if (mutex_owner_find(&self, &maps, wait, &tid))
		tid = 0;
	maps_free(&maps);
	return tid;
}

static void mutex_wait(void *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
}

static void check_mutex(int type, int protocol, int robust, uint32_t wanted)
{
	pthread_mutexattr_t attributes;
	pthread_mutex_t mutex;
	struct waiter waiter;
	struct futex_wait before, after;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, type);
	pthread_mutexattr_setprotocol(&attributes, protocol);
	pthread_mutexattr_setrobust(&attributes, robust);
	pthread_mutex_init(&mutex, &attributes);
	pthread_mutex_lock(&mutex);
	waiter_start(&waiter, mutex_wait, &mutex);
	wait_await(&waiter, sizeof(mutex), &before);
	assert_int_equal(owner_of(&before), wanted);
	assert_int_equal(futex_wait_read(getpid(), waiter.tid, &after), 0);
	assert_true(futex_wait_same(&before, &after));
	assert_false(before.timed);
	pthread_mutex_unlock(&mutex);
	pthread_join(waiter.thread, NULL);
}

static void test_mutexes(void **state)
{
	uint32_t self = (uint32_t)getpid();

	check_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, self);
	check_mutex(PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, self);
	check_mutex(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, self);
	check_mutex(PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, self);
	check_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED, self);
	check_mutex(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, 0);
}

static void check_other(void (*wait)(void *), void *lock, size_t size, void (*release)(void *))
{
	struct futex_wait found;
	struct waiter waiter;

	waiter_start(&waiter, wait, lock);
	wait_await(&waiter, size, &found);
	assert_int_equal(owner_of(&found), 0);
	release(lock);
	pthread_join(waiter.thread, NULL);
}

static void semaphore_wait(void *lock)
{
	sem_wait(lock);
}

static void semaphore_release(void *lock)
{
	sem_post(lock);
}

static void writer_wait(void *lock)
{
	pthread_rwlock_wrlock(lock);
	pthread_rwlock_unlock(lock);
}

static void writer_release(void *lock)
{
	pthread_rwlock_unlock(lock);
}

struct condition {
	pthread_cond_t changed;
	pthread_mutex_t mutex;
	int done;
};

static void condition_wait(void *lock)
{
	struct condition *condition = lock;

	pthread_mutex_lock(&condition->mutex);
	while (!condition->done)
		pthread_cond_wait(&condition->changed, &condition->mutex);
	pthread_mutex_unlock(&condition->mutex);
}

static void condition_release(void *lock)
{
	struct condition *condition = lock;

	pthread_mutex_lock(&condition->mutex);
	condition->done = 1;
	pthread_cond_signal(&condition->changed);
	pthread_mutex_unlock(&condition->mutex);
}

static void stream_release(void *lock)
{
	funlockfile(stdin);
}

static void stream_wait(void *lock)
{
	flockfile(stdin);
	funlockfile(stdin);
}

/* A lock of another kind, with the very bytes of a mutex that the main thread owns. */
static void raw_wait(void *lock)
{
	while (*(volatile int *)lock == 2)
		syscall(SYS_futex, lock, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

static void raw_release(void *lock)
{
	*(volatile int *)lock = 0;
	syscall(SYS_futex, lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void test_others(void **state)
{
	struct condition condition = {PTHREAD_COND_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, 0};
	pthread_rwlock_t writers = PTHREAD_RWLOCK_INITIALIZER;
	int raw[10] = {2, 0, getpid(), 1, 0};
	void *stream = *(void **)((char *)stdin + 136); /* _IO_FILE._lock */
	sem_t semaphore;

	sem_init(&semaphore, 0, 0);
	check_other(semaphore_wait, &semaphore, sizeof(semaphore), semaphore_release);
	pthread_rwlock_wrlock(&writers);
	check_other(writer_wait, &writers, sizeof(writers), writer_release);
	check_other(condition_wait, &condition, sizeof(condition), condition_release);
	check_other(raw_wait, raw, sizeof(raw), raw_release);
	flockfile(stdin);
	check_other(stream_wait, stream, 16, stream_release);
}

static void test_not_waiting(void **state)
{
	struct futex_wait wait = {.address = 1};

	assert_int_not_equal(futex_wait_read(getpid(), (uint32_t)getpid(), &wait), 0);
	assert_int_equal(wait.address, 1);
	assert_int_not_equal(futex_wait_read(getpid(), 0, &wait), 0);
	assert_int_equal(thread_inner_id(getpid(), (uint32_t)getpid()), getpid());
	assert_int_equal(thread_inner_id(getpid(), 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutexes),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_not_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
