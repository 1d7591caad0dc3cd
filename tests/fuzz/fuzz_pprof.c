/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Feeds the reader of recordings with hostile bytes (libFuzzer; uncompressed, so that the fuzzer
 * reaches the message), and what it takes for a recording to every view.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "profile/pprof.h"
#include "views/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view_options options = {0};
	struct profile *profile;
	const struct view *view;
	struct error error;
	FILE *stream;

	if (pprof_parse(data, size, &profile, &error))
		return 0;
	stream = fopen("/dev/null", "w");
	for (view = views; stream && view->name; view++)
		view->write(profile, &options, stream);
	if (stream)
		fclose(stream);
	profile_free(profile);
	return 0;
}
