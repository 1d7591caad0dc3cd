/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A C program that pretends to be CPython 3.13: it has _PyRuntime with debug offsets, an
 * interpreter, thread states, frames and code objects, and then lies, in the way that its argument
 * names: see `lies`. It prints "ready", waits for SIGUSR1 if the lie is to come late ("late" as second
 * argument), and runs until it is killed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE        4096
#define FRAMES      12
#define THREADS_MAX 32
#define MILLION     1000000
#define CODE_BYTES  64
#define CALL        53 /* its opcode in CPython 3.13: the native stack then is of what is called */

/* Where the made-up structures have their fields; the debug offsets say so. */
struct text {
	uint64_t references, type, length, hash, state;
	char characters[216];
};

struct bytes {
	uint64_t references, type, size;
	uint8_t data[];
};

struct code {
	uint64_t references, type, filename, name, qualified_name, line_table;
	uint32_t first_line, version;
	uint64_t variable_names;
	uint8_t instructions[CODE_BYTES];
};

struct frame {
	uint64_t previous, executable, instruction, owner;
};

struct thread {
	uint64_t previous, next, interpreter, frame, id;
};

struct gil {
	uint64_t interval, last_holder, locked;
};

struct interpreter {
	uint64_t next, threads, collecting, gil_address;
	struct gil gil;
};

__attribute__((section(".PyRuntime"), used)) uint64_t _PyRuntime[1024] = {1};

static struct {
	uint64_t references, type, size;
	const char *name;
	uint64_t rest[8];
} code_type = {1, 0, 0, "code", {0}};

static struct interpreter *interpreter;
static struct thread *threads;
static struct frame *frames;
static struct code *codes;
static struct text *names;
static struct bytes *lines;
static uint8_t *unreadable;
static volatile uint64_t sink;

static void *pages(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

static void header_write(void)
{
	static const uint64_t words[] = {
		0,    0x030d00f0, 0,    /* cookie, version, kind */
		8192, 0,          4096, /* runtime */
		256,  0,          0,    8,  16, 0,  0, 0,  24, 32, 0, 48, 40, /* interpreter */
		64,   0,          8,    16, 24, 32, 0, 0,  0,                 /* thread */
		32,   0,          8,    16, 0,  24,                           /* frame */
		128,  16,         24,   32, 40, 48, 0, 56, 0,  64,            /* code */
		16,   8,          0,    0,  0,  0,  0, 0,  0,  0,  0, 0,  0,
		0,    0,          0,    0,  0,  0,  0, /* object and others */
		24,   16,         24,                  /* bytes */
		40,   32,         16,   40,            /* text */
		8,    0,                               /* gc */
	};

	memcpy(_PyRuntime, words, sizeof(words));
	memcpy(_PyRuntime, "xdebugpy", 8);
}

static void text_write(struct text *text, const char *characters)
{
	text->references = 1;
	text->length = strlen(characters);
	text->state = 1 << 2 | 1 << 5 | 1 << 6; /* kind, compact, ascii */
	memcpy(text->characters, characters, text->length + 1);
}

static void code_write(struct code *code, const struct text *name)
{
	*code = (struct code){.references = 1,
			      .type = (uint64_t)&code_type,
			      .filename = (uint64_t)&names[FRAMES],
			      .name = (uint64_t)name,
			      .qualified_name = (uint64_t)name,
			      .line_table = (uint64_t)lines,
			      .first_line = 7,
			      .version = 100 + (uint32_t)(name - names),
			      .instructions = {CALL}};
}

/* One interpreter with two threads, which all have the same frames. */
static void image_write(uint64_t first, uint64_t second)
{
	header_write();
	_PyRuntime[4096 / 8] = (uint64_t)interpreter;
	*interpreter = (struct interpreter){.threads = (uint64_t)&threads[0],
					    .gil_address = (uint64_t)&interpreter->gil,
					    .gil = {.interval = 5000}};
	threads[0] = (struct thread){0, (uint64_t)&threads[1], (uint64_t)interpreter,
				     (uint64_t)&frames[0], first};
	threads[1] = (struct thread){(uint64_t)&threads[0], 0, (uint64_t)interpreter,
				     (uint64_t)&frames[0], second};
	lines->references = 1;
	lines->size = 4;
	memcpy(lines->data, "\xff\xff\xff\xff", 5); /* 8 units each, without a line */
	text_write(&names[FRAMES], "/hostile/fake.py");
	for (int i = 0; i < FRAMES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "fake_function_%d", i);
		text_write(&names[i], name);
		code_write(&codes[i], &names[i]);
		frames[i] =
			(struct frame){.previous = i + 1 < FRAMES ? (uint64_t)&frames[i + 1] : 0,
				       .executable = (uint64_t)&codes[i],
				       .instruction = (uint64_t)codes[i].instructions};
	}
}

static void image_make(void)
{
	interpreter = pages(PAGE);
	threads = pages((MILLION + 1) * sizeof(*threads));
	frames = pages(PAGE);
	codes = pages(PAGE);
	names = pages(PAGE);
	lines = pages(1UL << 32);
	unreadable = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void good(void)
{
}

static void frames_cycle(void)
{
	frames[FRAMES - 1].previous = (uint64_t)&frames[0];
}

static void frame_itself(void)
{
	frames[0].previous = (uint64_t)&frames[0];
}

static void threads_cycle(void)
{
	threads[0].id = threads[1].id = 1;
	threads[1].next = (uint64_t)&threads[0];
}

static void interpreters_cycle(void)
{
	interpreter->next = (uint64_t)interpreter;
	threads[0].id = 1;
}

/* The threads' own states are the last ones. */
static void threads_million(void)
{
	for (int i = 2; i < MILLION; i++)
		threads[i] = (struct thread){(uint64_t)&threads[i - 1], (uint64_t)&threads[i + 1],
					     (uint64_t)interpreter, 0, 1};
	threads[MILLION] = threads[0];
	threads[MILLION].previous = (uint64_t)&threads[MILLION - 1];
	threads[MILLION].next = 0;
	threads[0].id = 1;
	threads[1].next = (uint64_t)&threads[2];
}

static void names_set(uint64_t length, const char *characters)
{
	for (int i = 0; i < FRAMES; i++) {
		codes[i].version += 1000; /* another code object */
		names[i].length = length;
		memcpy(names[i].characters, characters, strlen(characters) + 1);
	}
}

static void name_gigabyte(void)
{
	char *text = pages(1UL << 30);

	memcpy(text, &names[0], sizeof(names[0]));
	memset(text + 40, 'n', 65536);
	((struct text *)text)->length = (1UL << 30) - PAGE;
	names_set(4, "cut_");
	for (int i = 0; i < FRAMES; i++)
		codes[i].name = codes[i].qualified_name = (uint64_t)text;
}

static void name_negative(void)
{
	names_set(UINT64_MAX, "negative");
}

static void name_smallest(void)
{
	names_set(1ULL << 63, "smallest");
}

/* Not ASCII, though it says so; what a terminal would obey. */
static void name_control(void)
{
	names_set(30, "\033]0;owned\007\033[2J\233\377\376\200\r\n\t\b\177\001z");
}

/* Four bytes a character, none of which is one. */
static void name_wide(void)
{
	names_set(6, "");
	for (int i = 0; i < FRAMES; i++) {
		names[i].state = 4 << 2 | 1 << 5;
		memset(names[i].characters, 0xff, 100);
	}
}

static void code_renew(void)
{
	for (int i = 0; i < FRAMES; i++)
		codes[i].version += 1000;
}

static void lines_terabyte(void)
{
	lines->size = 1ULL << 40;
	code_renew();
}

static void lines_negative(void)
{
	lines->size = UINT64_MAX;
	code_renew();
}

/* No entry ends: each byte says that the number goes on. */
static void lines_endless(void)
{
	lines->size = 1 << 20;
	memset(lines->data, 0x7f, 1 << 20);
	lines->data[0] = 0xf0; /* what follows are numbers */
	code_renew();
}

/* As dear to check as can be: everything is valid, and there is as much of it as is looked at. */
static void much(void)
{
	struct interpreter *all = pages(64 * PAGE);

	lines->size = (16 << 20) - 64;
	memset(lines->data, 0x80 | 15 << 3, lines->size); /* one unit each, without a line */
	lines->data[lines->size] = 0;
	for (int i = 0; i < FRAMES; i++)
		frames[i].instruction = (uint64_t)codes[i].instructions + (24 << 20);
	for (int i = 0; i < 64; i++) {
		struct interpreter *one = (void *)((char *)all + i * PAGE);
		struct thread *own = (void *)(one + 1);

		*one = *interpreter;
		one->threads = (uint64_t)own;
		one->next = i + 1 < 64 ? (uint64_t)((char *)one + PAGE) : 0;
		for (int j = 0; j < THREADS_MAX; j++)
			own[j] = (struct thread){j ? (uint64_t)&own[j - 1] : 0,
						 j + 1 < THREADS_MAX ? (uint64_t)&own[j + 1] : 0,
						 (uint64_t)one, (uint64_t)&frames[0],
						 threads[j & 1].id};
	}
	_PyRuntime[4096 / 8] = (uint64_t)all;
}

static uint64_t somewhere(unsigned int *seed)
{
	const uint64_t places[] = {0,
				   1,
				   4096,
				   (uint64_t)unreadable,
				   (uint64_t)unreadable + PAGE - 1,
				   0x00007ffffffff000,
				   0x0000800000000000,
				   0x8000000000000000,
				   0xffffffff81000000,
				   0xffffffffffffffff,
				   (uint64_t)frames,
				   (uint64_t)codes + 3,
				   (uint64_t)&threads[1],
				   (uint64_t)lines + (1UL << 32) - 1};

	return places[(unsigned int)rand_r(seed) % (sizeof(places) / sizeof(places[0]))];
}

/* Every pointer goes somewhere else all the time, and is right for a while in between. */
static void *pointers_change(void *ids)
{
	void *objects[] = {interpreter, threads, frames, codes, names};
	size_t words[] = {sizeof(*interpreter) / 8, 10, 4 * FRAMES, 16 * FRAMES, 27 * FRAMES};
	unsigned int seed = 1;

	for (;;) {
		int object = rand_r(&seed) % 5;

		((volatile uint64_t *)objects[object])[(size_t)rand_r(&seed) % words[object]] =
			somewhere(&seed);
		if (rand_r(&seed) % 64)
			continue;
		image_write(((uint64_t *)ids)[0], ((uint64_t *)ids)[1]);
		usleep(2000);
	}
	return NULL;
}

static void churn(void)
{
	static uint64_t ids[2];
	pthread_t thread;

	ids[0] = threads[0].id;
	ids[1] = threads[1].id;
	pthread_create(&thread, NULL, pointers_change, ids);
}

static void pointers_null(void)
{
	interpreter->threads = (uint64_t)unreadable;
	interpreter->gil_address = 0xffffffff81000000;
	interpreter->next = 0xffffffff81000000;
}

/* Offsets that are in range, and wrong. */
static void offsets_random(void)
{
	unsigned int seed = (unsigned int)getpid();

	for (int i = 3; i < 73; i++)
		_PyRuntime[i] = (uint64_t)rand_r(&seed) % (i % 3 ? 1 << 24 : 256);
	_PyRuntime[3] = _PyRuntime[6] = _PyRuntime[19] = _PyRuntime[28] = _PyRuntime[34] = 1 << 24;
	_PyRuntime[44] = _PyRuntime[64] = _PyRuntime[67] = _PyRuntime[71] = 1 << 24;
}

static void offsets_huge(void)
{
	for (int i = 3; i < 73; i++)
		_PyRuntime[i] = UINT64_MAX - (uint64_t)i;
}

static void free_threaded(void)
{
	_PyRuntime[2] = 1;
}

static void version_unknown(void)
{
	_PyRuntime[1] = 0xfffffff0;
}

static void garbage(void)
{
	unsigned int seed = 7;

	for (int i = 0; i < 1024; i++)
		_PyRuntime[i] = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed);
}

#define DEEP      1400
#define LONG_NAME 2000

/* A name of its own for each frame, as long as is kept; `round` makes them new. */
static void endless_write(struct frame *all, struct code *own, char *texts, uint64_t round)
{
	for (int i = 0; i < DEEP; i++) {
		struct text *text = (void *)(texts + (size_t)i * 2048);
		int length =
			snprintf((char *)text + 40, 32, "endless_%d_%lu_", i, (unsigned long)round);

		memset((char *)text + 40 + length, 'x', (size_t)(LONG_NAME - length));
		text->length = LONG_NAME;
		text->state = names[0].state;
		own[i] = codes[0];
		own[i].name = own[i].qualified_name = (uint64_t)text;
		own[i].version = (uint32_t)(round * DEEP + (uint64_t)i + 5000);
		all[i] = frames[0];
		all[i].previous = i + 1 < DEEP ? (uint64_t)&all[i + 1] : 0;
		all[i].executable = (uint64_t)&own[i];
		all[i].instruction = (uint64_t)own[i].instructions;
	}
}

static void *names_change(void *ignored)
{
	struct frame *all = pages(DEEP * sizeof(*all) + PAGE);
	struct code *own = pages(DEEP * sizeof(*own) + PAGE);
	char *texts = pages(DEEP * 2048 + PAGE);

	/* A quarter of a megabyte of line table for each of them, of which each is sent. */
	lines->size = 255 << 10;
	memset(lines->data, 0xff, lines->size);
	for (uint64_t round = 0;; round++) {
		endless_write(all, own, texts, round);
		threads[0].frame = threads[1].frame = (uint64_t)all;
		usleep(5000);
	}
	return ignored;
}

/* Ever new functions. */
static void names_endless(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, names_change, NULL);
}

static const struct {
	const char *name;
	void (*tell)(void);
} lies[] = {
	{"good", good},
	{"frames-cycle", frames_cycle},
	{"frame-itself", frame_itself},
	{"threads-cycle", threads_cycle},
	{"interpreters-cycle", interpreters_cycle},
	{"threads-million", threads_million},
	{"name-gigabyte", name_gigabyte},
	{"name-negative", name_negative},
	{"name-smallest", name_smallest},
	{"name-control", name_control},
	{"name-wide", name_wide},
	{"lines-terabyte", lines_terabyte},
	{"lines-negative", lines_negative},
	{"lines-endless", lines_endless},
	{"much", much},
	{"churn", churn},
	{"pointers", pointers_null},
	{"offsets-random", offsets_random},
	{"offsets-huge", offsets_huge},
	{"free-threaded", free_threaded},
	{"version-unknown", version_unknown},
	{"garbage", garbage},
	{"names-endless", names_endless},
};

static void *nap(void *ignored)
{
	for (;;)
		usleep(20000);
	return ignored;
}

/* Runs a tenth of the time: many of these run at once. */
static void spin(void)
{
	for (int i = 0; i < 400000; i++)
		sink++;
	usleep(8000);
}

int main(int argc, char **argv)
{
	sigset_t set;
	pthread_t thread;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	image_make();
	pthread_create(&thread, NULL, nap, NULL);
	image_write((uint64_t)pthread_self(), (uint64_t)thread);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		if (strcmp(lies[i].name, argv[1]))
			continue;
		if (argc > 2) {
			puts("ready");
			fflush(stdout);
			/* Runs meanwhile, so that what is good can be seen. */
			while (sigtimedwait(&set, NULL, &(struct timespec){0, 0}) != SIGUSR1)
				spin();
			lies[i].tell();
		} else {
			lies[i].tell();
			puts("ready");
			fflush(stdout);
		}
		for (;;)
			spin();
	}
	return 2;
}
