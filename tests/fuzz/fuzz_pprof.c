/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Feeds the reader of recordings with hostile bytes (libFuzzer; uncompressed, so that the fuzzer
 * reaches the message), and what it takes for a recording to every view, whole and without its
 * native frames.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "profile/narrow.h"
#include "profile/pprof.h"
#include "views/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void view_all(const struct profile *profile)
{
	struct view_options options = {0};
	const struct view *view;
	FILE *stream = fopen("/dev/null", "w");

	for (view = views; stream && view->name; view++)
		view->write(profile, &options, stream);
	if (stream)
		fclose(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct narrowing to_python = {.python_only = true};
	struct profile *profile, *narrow;
	struct error error;

	if (pprof_parse(data, size, &profile, &error))
		return 0;
	view_all(profile);
	if (!profile_narrow(profile, &to_python, &narrow, &error)) {
		view_all(narrow);
		profile_free(narrow);
	}
	profile_free(profile);
	return 0;
}
