/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds arbitrary text to the parsers of /proc/PID/maps and /proc/PID/cmdline. */
#include <stdint.h>
#include <stdlib.h>

#include "target/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct maps maps;
	char *command;

	if (!maps_parse((const char *)data, size, &maps)) {
		for (size_t i = 0; i < maps.count; i++)
			if (maps_find(&maps, maps.entries[i].start) != &maps.entries[i])
				abort();
		maps_free(&maps);
	}
	if (!process_command_parse((const char *)data, size, "", &command))
		free(command);
	return 0;
}
