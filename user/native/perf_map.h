/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the names that a process itself gives to code that it has generated: /tmp/perf-PID.map, a
 * line `START SIZE NAME` for each piece, numbers in hexadecimal (Linux, tools/perf/Documentation/
 * jit-interface.txt; CPython's -X perf writes it). It is appended to while the process runs, and is
 * not trusted.
 */
#ifndef PYEBPF_PERF_MAP_H
#define PYEBPF_PERF_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "target/process.h"

struct perf_map;

/*
 * Reads the map of a process through its root, under the number that the process has in its own
 * pid namespace. Must be a regular file that the process' user or root owns, of at most 64 MiB.
 * Returns 0, -ENOENT: there is none, -EPERM: somebody else's, -EFBIG, -ENOMEM or -errno.
 */
int perf_map_read(const struct process *process, struct perf_map **map);

/*
 * The same from bytes. Lines that are not valid are passed over, and so is one without an end: it
 * is still being written. Returns 0 or -ENOMEM.
 */
int perf_map_parse(const char *text, size_t size, struct perf_map **map);
void perf_map_free(struct perf_map *map);

/*
 * The name of the piece that holds an address of the process, valid UTF-8; where pieces overlap the
 * one that was written last counts. NULL: none.
 */
const char *perf_map_find(const struct perf_map *map, uint64_t address, uint64_t *start);

/* The memory that it takes. */
size_t perf_map_bytes(const struct perf_map *map);

#endif
