/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps a file as code and unmaps it, as fast as it can, among many mappings. Arguments: the file, how
 * many. With a third it is loaded into a target: see below.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

static int file;

static void *flood(void *ignored)
{
	for (;;) {
		void *memory = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);

		if (memory != MAP_FAILED)
			munmap(memory, PAGE);
	}
	return ignored;
}

/* Every other page of them: neighbours alike would be one mapping. */
static void map_many(long count)
{
	for (long i = 0; i < count; i++)
		mmap(NULL, PAGE, i % 2 ? PROT_READ | PROT_EXEC : PROT_READ, MAP_PRIVATE, file,
		     i * PAGE % (16 * PAGE));
}

/* Loaded before a program, it floods beside it: the variables FLOOD and FLOOD_MAPPINGS. */
__attribute__((constructor)) static void flood_begin(void)
{
	const char *name = getenv("FLOOD"), *count = getenv("FLOOD_MAPPINGS");
	pthread_t thread;

	if (!name)
		return;
	file = open(name, O_RDONLY);
	map_many(count ? atol(count) : 0);
	pthread_create(&thread, NULL, flood, NULL);
}

int main(int argc, char **argv)
{
	file = open(argv[1], O_RDONLY);
	map_many(argc > 2 ? atol(argv[2]) : 0);
	puts("ready");
	fflush(stdout);
	flood(NULL);
}
