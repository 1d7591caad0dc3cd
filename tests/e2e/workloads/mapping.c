/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loaded before a program: maps the files that the variable MAPPING names as code, and has threads
 * fault in them, so that addresses there are in the stacks.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define PAGE  4096
#define COUNT 64

static uint8_t *pages[COUNT];
static int count;

/*
 * Code that calls itself an address in one of the files: a return address there is put on the stack,
 * then a loop runs. mov rcx, 0x400000; dec rcx; jnz; add rsp, 8; ret
 */
static const uint8_t loop[] = {0x48, 0xc7, 0xc1, 0x00, 0x00, 0x40, 0x00,
			       0x48, 0xff, 0xc9, 0x75, 0xfb, 0xc3};

static void alarm_rang(int number)
{
	static int turn;
	static uint8_t *code;
	volatile uint64_t *fake;

	(void)number;
	if (!code) {
		code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memcpy(code, loop, sizeof(loop));
	}
	/* A frame record as frame pointers make it, whose return address is in a file. */
	fake = __builtin_alloca(64);
	fake[0] = 0;
	fake[1] = (uint64_t)(pages[turn++ % count] + PAGE + 16);
	__asm__ volatile("push %%rbp\n\tmov %1, %%rbp\n\tcall *%0\n\tpop %%rbp"
			 :
			 : "r"(code), "r"(fake)
			 : "rcx", "memory", "cc");
}

__attribute__((constructor)) static void files_map(void)
{
	char *names = getenv("MAPPING"), *name, *rest;
	struct itimerval often = {{0, 20000}, {0, 20000}};

	for (name = names ? strtok_r(names, ":", &rest) : NULL; name && count < COUNT;
	     name = strtok_r(NULL, ":", &rest)) {
		int file = open(name, O_RDONLY);

		pages[count] = mmap(NULL, 4 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
		count += pages[count] != MAP_FAILED;
		close(file);
	}
	if (!count)
		return;
	signal(SIGALRM, alarm_rang);
	setitimer(ITIMER_REAL, &often, NULL);
}
