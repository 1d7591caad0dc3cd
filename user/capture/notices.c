/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the list of notices; see notices.h. */
#include "capture/notices.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define NOTICES_MAX 100 /* different ones; more are counted */

/* A process of which something was told: it may be looked at again and again. */
struct told {
	pid_t pid;
	UT_hash_handle hh;
};

struct notice {
	char *text;
	pid_t first;
	uint32_t others;
	struct told *told; /* the first and the others, by PID */
	UT_hash_handle hh; /* by text */
};

struct notices {
	struct notice *all; /* in the order in which they came */
	uint32_t untold;
	char *printed;
};

struct notices *notices_new(void)
{
	return calloc(1, sizeof(struct notices));
}

static void notice_free(struct notice *notice)
{
	struct told *told, *next;

	HASH_ITER (hh, notice->told, told, next) {
		HASH_DEL(notice->told, told);
		free(told);
	}
	free(notice->text);
	free(notice);
}

/* Returns false if the process is known to it already; without memory each counts as another. */
static bool notice_tell(struct notice *notice, pid_t pid)
{
	struct told *told;

	HASH_FIND(hh, notice->told, &pid, sizeof(pid), told);
	if (told)
		return false;
	told = calloc(1, sizeof(*told));
	if (!told)
		return true;
	told->pid = pid;
	HASH_ADD(hh, notice->told, pid, sizeof(told->pid), told);
	return true;
}

void notices_free(struct notices *notices)
{
	struct notice *notice, *next;

	if (!notices)
		return;
	HASH_ITER (hh, notices->all, notice, next) {
		HASH_DEL(notices->all, notice);
		notice_free(notice);
	}
	free(notices->printed);
	free(notices);
}

void notices_add(struct notices *notices, pid_t pid, const char *text)
{
	struct notice *notice;

	HASH_FIND_STR(notices->all, text, notice);
	if (notice) {
		notice->others += notice_tell(notice, pid);
		return;
	}
	notices->untold++;
	if (HASH_COUNT(notices->all) == NOTICES_MAX)
		return;
	notice = calloc(1, sizeof(*notice));
	if (!notice)
		return;
	notice->text = strdup(text);
	if (!notice->text) {
		free(notice);
		return;
	}
	notice->first = pid;
	notice_tell(notice, pid);
	HASH_ADD_KEYPTR(hh, notices->all, notice->text, strlen(notice->text), notice);
	notices->untold--;
}

static void notice_print(const struct notice *notice, FILE *stream)
{
	fprintf(stream, "process %d", (int)notice->first);
	if (notice->others)
		fprintf(stream, " and %" PRIu32 " other%s", notice->others,
			notice->others > 1 ? "s" : "");
	fprintf(stream, ": %s\n", notice->text);
}

const char *notices_text(struct notices *notices)
{
	const struct notice *notice;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return "";
	for (notice = notices->all; notice; notice = notice->hh.next)
		notice_print(notice, stream);
	if (notices->untold)
		fprintf(stream, "and %" PRIu32 " more of other kinds\n", notices->untold);
	if (fclose(stream)) {
		free(text);
		return "";
	}
	free(notices->printed);
	notices->printed = text;
	return text;
}
