/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns writing the BPF maps that native stacks are walked by: the tables' blocks, and where those of
 * each process are. Leaves to unwinder.h what is written there and when.
 */
#ifndef PYEBPF_UNWIND_MAPS_H
#define PYEBPF_UNWIND_MAPS_H

#include <bpf/libbpf.h>
#include <stdint.h>

#include "unwind.h"

/* Of bpf/native.bpf.h; not owned. */
struct unwind_maps {
	const struct bpf_map *chunks;
	const struct bpf_map *address_spaces;
};

/*
 * Makes a chunk of blocks (include/unwind.h) and makes it known under `number`, which waits for the
 * kernel to forget what it had under that number: milliseconds. With `descriptor` it stays open,
 * for unwind_maps_write_blocks() and to be close()d by the caller; NULL: it is not written again.
 * Returns 0 or -errno.
 */
int unwind_maps_add_chunk(const struct unwind_maps *maps, uint32_t number,
			  const struct unwind_block *blocks, uint32_t count, int *descriptor);

/* Overwrites blocks of a chunk. Returns 0 or -errno. */
int unwind_maps_write_blocks(int descriptor, uint32_t first, const struct unwind_block *blocks,
			     uint32_t count);

/*
 * Says where a process' ranges are, and how many pages of them the kernel counts as executable: a
 * RECORD_MAPPINGS follows once it counts others. Its native stacks are walked from the first call
 * on. Returns 0, -E2BIG or -errno.
 */
int unwind_maps_set_ranges(const struct unwind_maps *maps, uint32_t pid, struct unwind_place place,
			   uint32_t count, uint64_t executable_pages);

/* Reads where the kernel side has a process' ranges. Returns 0 or -errno. */
int unwind_maps_get_ranges(const struct unwind_maps *maps, uint32_t pid,
			   struct unwind_place *place);

#endif
