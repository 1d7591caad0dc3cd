/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns how the report writes text and places. */
#include "views/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/holders.h"
#include "views/paths.h"
#include "views/text.h"

#define COUNTS_PERCENT 5 /* less than this of the whole is not worth naming */
#define MATTER_PERCENT 1 /* of the time of all active threads: below it a table says nothing */

void report_colour(const struct report *report, enum colour which)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "\x1b[0m", [COLOUR_BOLD] = "\x1b[1m",  [COLOUR_DIM] = "\x1b[2m",
		[COLOUR_RED] = "\x1b[31m", [COLOUR_BLUE] = "\x1b[34m", [COLOUR_YELLOW] = "\x1b[33m",
	};

	if (report->options->colour)
		fputs(codes[which], report->stream);
}

size_t report_text(const struct report *report, const char *text, size_t columns)
{
	char *escaped = text_escape(text);
	char *fitting = escaped ? text_shorten(escaped, columns) : NULL;
	size_t width = 0;

	if (fitting) {
		fputs(fitting, report->stream);
		width = text_width(fitting);
	}
	free(escaped);
	free(fitting);
	return width;
}

/* Writes ":82" into a buffer; "" where no line is known. */
static const char *line_text(const struct place *place, char buffer[16])
{
	buffer[0] = '\0';
	if (place->line > 0 && *place->short_file)
		snprintf(buffer, 16, ":%" PRId32, place->line);
	return buffer;
}

static size_t escaped_width(const char *text)
{
	char *escaped = text_escape(text);
	size_t width = escaped ? text_width(escaped) : 0;

	free(escaped);
	return width;
}

size_t report_place_width(const struct place *place)
{
	char buffer[16];
	size_t file = escaped_width(place->short_file);

	return escaped_width(place->name) + (file ? 1 + file : 0) +
	       strlen(line_text(place, buffer));
}

size_t report_place(const struct report *report, const struct place *place, size_t columns)
{
	char buffer[16];
	const char *line = line_text(place, buffer);
	size_t name = escaped_width(place->name), file = escaped_width(place->short_file), used;
	size_t taken = file ? 1 + file + strlen(line) : 0; /* by all behind the name */

	if (name + taken > columns && taken > columns / 2) {
		taken = name < columns - columns / 2 ? columns - name : columns / 2;
		/* Half a line number would be another one. */
		if (taken < 1 + strlen(line))
			taken = 1 + strlen(line) < columns ? 1 + strlen(line) : 0;
	}
	used = report_text(report, place->name, columns - taken);
	if (taken <= 1)
		return used;
	fputc(' ', report->stream);
	used += 1 + report_text(report, place->short_file, taken - 1 - strlen(line));
	fputs(line, report->stream);
	return used + strlen(line);
}

struct place report_function(const struct profile *profile, uint32_t function)
{
	return (struct place){.name = profile->strings[profile->functions[function].name],
			      .file = profile_code_file(profile, function),
			      .line = profile->functions[function].start_line};
}

char *label_text(const char *label)
{
	char *text = NULL, *path;
	size_t name, file;
	int32_t line;
	int length;

	label_split(label, &name, &file, &line);
	if (!file)
		return asprintf(&text, "thread %s", label) < 0 ? NULL : text;
	path = strndup(label + name + 2, file);
	length = path ? asprintf(&text, "%.*s %s:%" PRId32, (int)name, label, path_name(path), line)
		      : -1;
	free(path);
	return length < 0 ? NULL : text;
}

bool report_matters(const struct report *report, int64_t ns)
{
	return ns > 0 && (double)ns * 100 >= (double)report->verdicts->ns * MATTER_PERCENT;
}

bool report_counts(int64_t part, int64_t whole)
{
	return part > 0 && (double)part * 100 >= (double)whole * COUNTS_PERCENT;
}
