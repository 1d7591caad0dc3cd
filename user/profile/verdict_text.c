/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the verdict's sentences. */
#include "profile/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIXED_PERCENT    40 /* below this the largest share bounds nothing */
#define HANDOVER_PERCENT 5  /* below this waits for other threads are not worth a sentence */
#define SECOND           1e9

static int percent(int64_t part, int64_t whole)
{
	return whole > 0 ? (int)((double)part * 100 / (double)whole + 0.5) : 0;
}

const char *verdict_word(const struct verdict *verdict)
{
	static const char *const words[SHARE_COUNT] = {
		[SHARE_RUNNING] = "CPU-bound",   [SHARE_IO] = "I/O-bound",
		[SHARE_EVENTS] = "Event-driven", [SHARE_LOCK] = "Lock-bound",
		[SHARE_GIL] = "GIL-bound",       [SHARE_IDLE] = "Mostly idle",
		[SHARE_OTHER] = "Blocked",
	};
	int64_t shares[SHARE_COUNT];
	int share, most = SHARE_RUNNING;

	if (!verdict->threads)
		return "Not seen";
	if (!verdict_ns(verdict))
		return "Idle";
	memcpy(shares, verdict->shares, sizeof(shares));
	shares[SHARE_RUNQUEUE] = 0;
	for (share = 0; share < SHARE_COUNT; share++)
		if (shares[share] > shares[most])
			most = share;
	/* Who wants a CPU would use it; but what bounds a busy machine's process by itself, does. */
	if (percent(shares[most], verdict_ns(verdict)) < MIXED_PERCENT) {
		shares[SHARE_RUNNING] += verdict->shares[SHARE_RUNQUEUE];
		most = shares[SHARE_RUNNING] > shares[most] ? SHARE_RUNNING : most;
	}
	return percent(shares[most], verdict_ns(verdict)) < MIXED_PERCENT ? "Mixed" : words[most];
}

/*
 * Writes parts of a whole, which are not negative, as "71 % waiting on I/O, …": the largest first,
 * without those that round to 0 %. `parts` is used up.
 */
static void write_parts(FILE *stream, int64_t *parts, const char *const *texts, int count)
{
	const char *before = "";
	int64_t sum = 0;
	int turn, part, most;

	for (part = 0; part < count; part++)
		sum += parts[part];
	for (turn = 0; turn < count; turn++) {
		most = 0;
		for (part = 1; part < count; part++)
			if (parts[part] > parts[most])
				most = part;
		if (!percent(parts[most], sum))
			break;
		fprintf(stream, "%s%d %% %s", before, percent(parts[most], sum), texts[most]);
		before = ", ";
		parts[most] = 0;
	}
}

static void write_shares(FILE *stream, const struct verdict *verdict)
{
	static const char *const texts[SHARE_COUNT] = {
		[SHARE_RUNNING] = "on CPU",    [SHARE_RUNQUEUE] = "waiting for a CPU",
		[SHARE_IO] = "waiting on I/O", [SHARE_EVENTS] = "waiting for events",
		[SHARE_LOCK] = "for locks",    [SHARE_GIL] = "for the GIL",
		[SHARE_IDLE] = "idle",         [SHARE_OTHER] = "blocked otherwise",
	};
	int64_t parts[SHARE_COUNT];

	memcpy(parts, verdict->shares, sizeof(parts));
	write_parts(stream, parts, texts, SHARE_COUNT);
	fputc('.', stream);
}

/* Says what ran, where the CPU matters at all and samples tell. */
static void write_running(FILE *stream, const struct verdict *verdict)
{
	static const char *const texts[LEAF_COUNT] = {
		[LEAF_PYTHON] = "Python",
		[LEAF_NATIVE] = "native code",
		[LEAF_KERNEL] = "kernel",
		[LEAF_GC] = "garbage collection",
	};
	int64_t parts[LEAF_COUNT], sum = 0;
	int leaf;

	memcpy(parts, verdict->running, sizeof(parts));
	for (leaf = 0; leaf < LEAF_COUNT; leaf++)
		sum += parts[leaf];
	if (!sum || !percent(verdict->shares[SHARE_RUNNING], verdict_ns(verdict)))
		return;
	fputs(" CPU time: ", stream);
	write_parts(stream, parts, texts, LEAF_COUNT);
	fputc('.', stream);
}

/* Ends a stream opened by open_memstream(). */
static char *finish(FILE *stream, char **text)
{
	bool failed = ferror(stream);

	if (fclose(stream) || failed) {
		free(*text);
		return NULL;
	}
	return *text;
}

static char *write_verdict(const struct verdict *verdict, bool brief)
{
	int64_t sum = verdict_ns(verdict);
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	fprintf(stream, "%s: ", verdict_word(verdict));
	if (!verdict->threads) {
		fputs("none of its threads was seen.", stream);
	} else if (!sum) {
		fputs("no thread did more than wait.", stream);
	} else {
		write_shares(stream, verdict);
		if (!brief)
			write_running(stream, verdict);
		if (!brief &&
		    percent(verdict->handover_ns, sum + verdict->handover_ns) >= HANDOVER_PERCENT)
			fprintf(stream, " Beside that, %.1f s of waiting for other threads' work.",
				(double)verdict->handover_ns / SECOND);
	}
	return finish(stream, &text);
}

char *verdict_text(const struct verdict *verdict)
{
	return write_verdict(verdict, false);
}

char *verdict_brief_text(const struct verdict *verdict)
{
	return write_verdict(verdict, true);
}

char *verdict_waited_text(const struct verdict *verdict)
{
	uint32_t left = verdict->threads - verdict->active, counts[STATE_COUNT];
	const char *before = ": ";
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	int state, most;

	if (!stream)
		return NULL;
	memcpy(counts, verdict->waited, sizeof(counts));
	if (left)
		fprintf(stream, "%" PRIu32 " thread%s only waited", left, left == 1 ? "" : "s");
	while (left) {
		most = 0;
		for (state = 0; state < STATE_COUNT; state++)
			if (counts[state] > counts[most])
				most = state;
		fprintf(stream, "%s%s %" PRIu32, before, state_name(most), counts[most]);
		before = ", ";
		left -= counts[most];
		counts[most] = 0;
	}
	if (verdict->threads > verdict->active)
		fputc('.', stream);
	return finish(stream, &text);
}
