/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds arbitrary text to the parser of /tmp/perf-PID.map. */
#include <stdint.h>
#include <stdlib.h>

#include "native/perf_map.h"
#include "profile/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct perf_map *map;

	if (perf_map_parse((const char *)data, size, &map))
		abort();
	for (uint64_t address = 0; address < 0x1000; address += 7) {
		uint64_t start = 0;
		const char *name = perf_map_find(map, address, &start);

		if (name && (start > address || !*name || !utf8_valid(name)))
			abort();
	}
	perf_map_free(map);
	return 0;
}
