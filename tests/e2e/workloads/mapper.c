/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps files as code, as many as there are arguments, and spins in code that it made itself. Prints
 * "ready" and runs until it is killed.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

/* mov ecx, 10000000; dec ecx; jnz; ret */
static const uint8_t loop[] = {0xb9, 0x80, 0x96, 0x98, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xc3};

int main(int argc, char **argv)
{
	uint8_t *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 1; i < argc; i++) {
		int file = open(argv[i], O_RDONLY);

		if (file < 0 || mmap(NULL, 4 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) ==
					MAP_FAILED) {
			perror(argv[i]);
			return 1;
		}
		close(file);
	}
	memcpy(code, loop, sizeof(loop));
	printf("ready %lx\n", (unsigned long)code);
	fflush(stdout);
	for (;;) {
		((void (*)(void))code)();
		usleep(10000);
	}
}
