/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns a program in C that has a stack of each kind that is hard to unwind: frames of changing or
 * realigned size, callbacks from the C library, functions that are resolved at their first call,
 * signals on the thread's stack and on one of their own, one in another, coroutines, threads that
 * begin and end. Says "ready" and goes on until it is killed. It is built with PLACES_LIBRARY, too:
 * as a library that it loads anew all the time.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))

double places_resolve(double value);

/* Each of these calls goes through the linker's table; in a library just loaded, by the resolver. */
double places_resolve(double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%f", sin(value) + cos(value) + tan(value));
	return atan2(strtod(text, NULL), hypot(value, cbrt(value))) + fmod(value, 3) + log1p(value);
}

#ifndef PLACES_LIBRARY

static volatile uint64_t sink;

static APART uint64_t burn(uint64_t rounds)
{
	uint64_t value = rounds;

	for (uint64_t i = 0; i < rounds; i++)
		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}

static int numbers_compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	sink += burn(3);
	return a < b ? -1 : a > b;
}

static APART void do_sort(int depth)
{
	uint64_t numbers[512];

	for (int i = 0; i < 512; i++)
		numbers[i] = burn((uint64_t)(i % 7 + depth));
	qsort(numbers, 512, sizeof(numbers[0]), numbers_compare);
	sink += numbers[17];
}

static APART void do_changing_frame(int depth)
{
	size_t size = 16 + (size_t)depth * 40;
	char *bytes = alloca(size);

	memset(bytes, depth, size);
	if (depth)
		do_changing_frame(depth - 1);
	sink += strlen(bytes) + (uint8_t)bytes[size - 1];
}

static APART void do_realigned_frame(int depth)
{
	char bytes[256] __attribute__((aligned(64)));

	memset(bytes, depth + 1, sizeof(bytes));
	bytes[sizeof(bytes) - 1] = '\0';
	if (depth)
		do_realigned_frame(depth - 1);
	sink += strlen(bytes);
}

/* Both: the frame's address is then kept in the frame itself. */
static APART void do_realigned_changing_frame(int depth)
{
	char bytes[128] __attribute__((aligned(64)));
	char *more = alloca(16 + (size_t)depth * 24);

	memset(bytes, depth + 1, sizeof(bytes));
	memcpy(more, bytes, 16);
	if (depth)
		do_realigned_changing_frame(depth - 1);
	sink += (uint8_t)more[7] + (uint8_t)bytes[9];
}

/* Its registers are all in use, the frame pointer's, too. */
static APART uint64_t do_many_arguments(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
					uint64_t f, uint64_t g, uint64_t h, int depth)
{
	if (!depth)
		return burn(50) + a * b + c * d + e * f + g * h;
	return do_many_arguments(b, c, d, e, f, g, h, a + 1, depth - 1) + a * h + b * g + c * f +
	       d * e;
}

static __attribute__((optimize("no-omit-frame-pointer"))) APART uint64_t do_frame_pointer(int depth)
{
	return depth ? do_frame_pointer(depth - 1) * 3 + 1 : burn(50);
}

static _Noreturn APART void jump_back(jmp_buf *to, int depth)
{
	if (depth)
		jump_back(to, depth - 1); /* the address it would return to is behind it */
	sink += burn(50);
	longjmp(*to, 1);
}

static APART void do_jump(int depth)
{
	jmp_buf back;

	if (!setjmp(back))
		jump_back(&back, depth % 8);
}

static APART void do_strings(int depth)
{
	char text[4096];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memmove(text + depth, text, 1000);
	sink += (uint64_t)(strchr(text, 'b') == NULL) + strlen(text) +
		(uint64_t)(strstr(text, "ab") == NULL) + (uint64_t)memcmp(text, text + 9, 800);
	snprintf(text, sizeof(text), "%d %s %g", depth, "text", sqrt(depth) / 3);
	sink += (uint64_t)strtod(text, NULL);
}

static APART void do_clock(int depth)
{
	struct timespec now;

	for (int i = 0; i < 20 + depth; i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		sink += (uint64_t)now.tv_nsec;
	}
}

static APART void do_heap(int depth)
{
	void *blocks[64];

	for (int i = 0; i < 64; i++)
		blocks[i] = malloc((size_t)(i * i * (depth + 1)));
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
}

static __thread ucontext_t coroutine_caller, coroutine;

static void coroutine_run(void)
{
	for (;;) {
		do_many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 3);
		swapcontext(&coroutine, &coroutine_caller);
	}
}

static APART void do_coroutine(int depth)
{
	static __thread char stack[65536];

	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = sizeof(stack);
	coroutine.uc_link = depth % 2 ? &coroutine_caller : NULL;
	makecontext(&coroutine, coroutine_run, 0);
	for (int i = 0; i < depth % 4; i++)
		swapcontext(&coroutine_caller, &coroutine);
}

static APART void do_library(int depth)
{
	void *library;
	double (*resolve)(double);

	if (depth % 8)
		return;
	library = dlopen("places.so", RTLD_LAZY | RTLD_LOCAL);
	if (!library)
		return;
	*(void **)&resolve = dlsym(library, "places_resolve");
	sink += (uint64_t)resolve(depth);
	dlclose(library);
}

static void *thread_run(void *argument)
{
	do_many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 9);
	if (argument)
		pthread_exit(NULL); /* which unwinds the stack, too */
	return NULL;
}

/* Seldom, for a thread that begins is always in the same place. A signal would begin it anew. */
static APART void do_thread(int depth)
{
	static __thread unsigned int turn;
	sigset_t timer, before;
	pthread_t thread;

	if (++turn % 256)
		return;
	sigemptyset(&timer);
	sigaddset(&timer, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &timer, &before);
	if (!pthread_create(&thread, NULL, thread_run, depth % 2 ? NULL : "exit"))
		pthread_join(thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static APART void do_signal(int depth)
{
	raise(depth % 2 ? SIGUSR1 : SIGUSR2);
}

static void (*const cases[])(int depth) = {
	do_sort,    do_changing_frame, do_realigned_frame, do_realigned_changing_frame,
	do_jump,    do_strings,        do_clock,           do_heap,
	do_library, do_coroutine,      do_thread,          do_signal,
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

/* Of a timer: it comes anywhere, in another handler, too. */
static void on_timer(int number)
{
	sink += burn(2000);
	do_realigned_frame(2);
}

static void on_signal(int number)
{
	do_changing_frame(4);
	sink += do_frame_pointer(5);
	if (number == SIGUSR1)
		raise(SIGUSR2);
}

static void handlers_set(void)
{
	struct sigaction own = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction elsewhere = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
	struct sigaction timer = {.sa_handler = on_timer, .sa_flags = SA_RESTART | SA_ONSTACK};

	sigaction(SIGUSR1, &own, NULL);
	sigaction(SIGUSR2, &elsewhere, NULL);
	sigaction(SIGALRM, &timer, NULL);
}

static void *thread_go_on(void *argument)
{
	stack_t stack = {.ss_size = 65536};
	uintptr_t at = (uintptr_t)argument;

	stack.ss_sp = malloc(stack.ss_size);
	if (!stack.ss_sp || sigaltstack(&stack, NULL))
		return NULL;
	for (;; at++) {
		cases[at % CASES]((int)(at % 31));
		sink += do_many_arguments(at, 2, 3, 4, 5, 6, 7, 8, 4) + do_frame_pointer(6);
	}
	return NULL;
}

int main(void)
{
	const struct itimerval often = {{.tv_usec = 700}, {.tv_usec = 700}};
	pthread_t thread;

	handlers_set();
	setitimer(ITIMER_REAL, &often, NULL);
	for (uintptr_t i = 1; i < 4; i++)
		if (pthread_create(&thread, NULL, thread_go_on, (void *)(i * 5)))
			return 1;
	puts("ready");
	fflush(stdout);
	thread_go_on(NULL);
	return 1;
}

#endif
