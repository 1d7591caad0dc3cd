/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the collapsed stacks, in py-spy's spelling: `function (file:line);… count`, root first, with
 * native frames as `function (module)` and kernel frames as `function_[k]`. The count is the time in sampling periods. Rounding keeps the sum: whole periods first, then one
 * more for those with the largest rests.
 */
#include "views/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/names.h"
#include "profile/table.h"
#include "views/paths.h"
#include "views/text.h"

#define SECOND          1000000000
#define RATE_DEFAULT_HZ 99
#define NO_PYTHON       "[no Python frame]"

/* What a line is made of; samples that differ in nothing else are one line. */
struct line_key {
	uint32_t process;
	uint32_t stack;
	uint32_t state;
	uint32_t target;
	uint32_t thread; /* of stacks without frames of Python; else 0 */
};

struct line {
	struct line_key key;
	int64_t ns;
	int64_t count;
};

struct lines {
	struct line *items;
	uint32_t count;
	struct table table;
};

static int add_sample(struct lines *lines, const struct profile *profile,
		      const struct profile_sample *sample)
{
	struct line_key key = {sample->key.process, sample->key.stack, sample->key.state,
			       sample->key.target, 0};
	uint32_t id;
	void *grown;
	int added;

	/* What ran instead is not what was waited for. */
	if (key.state == STATE_RUNNING || key.state == STATE_RUNQUEUE)
		key.target = 0;
	if (profile_stack_owner(profile, key.stack) < 0)
		key.thread = sample->key.thread;
	grown = array_grow(lines->items, lines->count, sizeof(*lines->items));
	if (!grown)
		return -ENOMEM;
	lines->items = grown;
	added = table_intern(&lines->table, &key, sizeof(key), &id, NULL);
	if (added < 0)
		return added;
	if (added)
		lines->items[lines->count++] = (struct line){.key = key};
	lines->items[id].ns += sample->ns;
	return 0;
}

struct rest {
	int64_t ns;
	uint32_t line;
};

static int compare_rests(const void *left, const void *right)
{
	const struct rest *a = left, *b = right;

	if (a->ns != b->ns)
		return a->ns < b->ns ? 1 : -1;
	return a->line < b->line ? -1 : a->line > b->line;
}

static int count_periods(struct lines *lines, int64_t period)
{
	struct rest *rests = calloc((size_t)lines->count + 1, sizeof(*rests));
	int64_t left = 0;
	uint32_t at;

	if (!rests)
		return -ENOMEM;
	for (at = 0; at < lines->count; at++) {
		lines->items[at].count = lines->items[at].ns / period;
		rests[at] = (struct rest){.ns = lines->items[at].ns % period, .line = at};
		left += rests[at].ns;
	}
	qsort(rests, lines->count, sizeof(*rests), compare_rests);
	left = (left + period / 2) / period;
	for (at = 0; at < lines->count && left > 0; at++, left--)
		lines->items[rests[at].line].count++;
	free(rests);
	return 0;
}

/* Writes part of a frame. A semicolon would end the frame, so it becomes a colon. */
static int write_name(FILE *stream, const char *name)
{
	char *text = text_escape(name), *at;

	if (!text)
		return -ENOMEM;
	for (at = text; (at = strchr(at, ';'));)
		*at = ':';
	fputs(text, stream);
	free(text);
	return 0;
}

/* Of Python functions the path, of native ones the last component: of the source, or the module. */
static const char *frame_file(const struct profile *profile,
			      const struct profile_location *location)
{
	const struct profile_function *function = &profile->functions[location->function];

	if (function->kind == KIND_PYTHON)
		return profile->strings[function->filename];
	if (location->line && function->filename)
		return path_name(profile->strings[function->filename]);
	return path_name(profile_code_file(profile, location->function));
}

static int write_frame(FILE *stream, const struct profile *profile,
		       const struct profile_location *location)
{
	const struct profile_function *function = &profile->functions[location->function];
	const char *file = frame_file(profile, location);
	int result = write_name(stream, profile->strings[function->name]);

	if (function->kind == KIND_KERNEL) {
		fputs("_[k]", stream);
		return result;
	}
	if (function->kind == KIND_NATIVE && !*file)
		return result;
	fputs(" (", stream);
	if (!result)
		result = write_name(stream, file);
	if (function->kind == KIND_PYTHON || location->line)
		fprintf(stream, ":%" PRId32, location->line);
	fputc(')', stream);
	return result;
}

static int write_wait(FILE *stream, const char *state, const char *target)
{
	int result = 0;

	fprintf(stream, "[wait: %s", state);
	if (*target) {
		fputc(' ', stream);
		result = write_name(stream, target);
	}
	fputc(']', stream);
	return result;
}

/* py-spy's frame for a process, written where the profile has several. */
static int write_process(FILE *stream, const struct profile *profile, uint32_t process)
{
	int result;

	fprintf(stream, "process %" PRIu32 ":\"", profile->processes[process].pid);
	result = write_name(stream, profile->strings[profile->processes[process].command]);
	fputs("\";", stream);
	return result;
}

/* Whether a frame says no more than the root of such a stack. */
static bool is_no_python(const struct profile *profile, uint32_t location)
{
	uint32_t function = profile->locations[location].function;

	return profile_is_notice(profile, function) &&
	       !strcmp(profile->strings[profile->functions[function].name], NO_PYTHON);
}

static int write_line(FILE *stream, const struct profile *profile, const struct line *line)
{
	const struct profile_stack *stack = &profile->stacks[line->key.stack];
	const uint32_t *locations = profile->stack_locations + stack->first;
	const char *before = "";
	uint32_t depth = stack->depth, at;
	int result = 0;

	if (profile->process_count > 1)
		result = write_process(stream, profile, line->key.process);
	if (!result && profile_stack_owner(profile, line->key.stack) < 0) {
		if (depth && is_no_python(profile, locations[depth - 1]))
			depth--;
		fputs(NO_PYTHON " ([thread ", stream);
		result = write_name(stream, profile->strings[line->key.thread]);
		fputs("])", stream);
		before = ";";
	}
	for (at = depth; at-- > 0 && !result; before = ";") {
		fputs(before, stream);
		result = write_frame(stream, profile, &profile->locations[locations[at]]);
	}
	if (!result && line->key.state != STATE_RUNNING) {
		fputs(before, stream);
		result = write_wait(stream, state_name(line->key.state),
				    profile->strings[line->key.target]);
	}
	fprintf(stream, " %" PRId64 "\n", line->count);
	return result;
}

int view_collapsed(const struct profile *profile, const struct view_options *options, FILE *stream)
{
	uint32_t rate = profile->facts.rate_hz ? profile->facts.rate_hz : RATE_DEFAULT_HZ;
	struct lines lines = {0};
	uint32_t at;
	int result = 0;

	for (at = 0; at < profile->sample_count && !result; at++)
		result = add_sample(&lines, profile, &profile->samples[at]);
	if (!result)
		result = count_periods(&lines, SECOND / rate);
	for (at = 0; at < lines.count && !result; at++)
		if (lines.items[at].count)
			result = write_line(stream, profile, &lines.items[at]);
	table_clear(&lines.table);
	free(lines.items);
	return !result && ferror(stream) ? -EIO : result;
}
