/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns writing the maps of unwind tables; see unwind_maps.h. */
#include "capture/unwind_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int unwind_maps_write_blocks(int descriptor, uint32_t first, const struct unwind_block *blocks,
			     uint32_t count)
{
	uint32_t *indices = calloc(count ? count : 1, sizeof(*indices));
	uint32_t done = count, i;
	int error = 0;

	if (!indices)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		indices[i] = first + i;
	if (count && bpf_map_update_batch(descriptor, indices, blocks, &done, NULL))
		error = -errno;
	free(indices);
	return error;
}

int unwind_maps_add_chunk(const struct unwind_maps *maps, uint32_t number,
			  const struct unwind_block *blocks, uint32_t count, int *descriptor)
{
	const struct bpf_map_create_opts options = {.sz = sizeof(options),
						    .map_flags = BPF_F_INNER_MAP};
	int chunk = bpf_map_create(BPF_MAP_TYPE_ARRAY, "unwind_chunk", sizeof(uint32_t),
				   sizeof(*blocks), count, &options);
	int error;

	if (chunk < 0)
		return chunk;
	error = blocks ? unwind_maps_write_blocks(chunk, 0, blocks, count) : 0;
	if (!error)
		error = bpf_map__update_elem(maps->chunks, &number, sizeof(number), &chunk,
					     sizeof(chunk), BPF_ANY);
	if (error || !descriptor)
		close(chunk);
	else
		*descriptor = chunk;
	return error;
}

int unwind_maps_set_ranges(const struct unwind_maps *maps, uint32_t pid, struct unwind_place place,
			   uint32_t count, uint64_t executable_pages)
{
	struct address_space space = {0};

	if (bpf_map__lookup_elem(maps->address_spaces, &pid, sizeof(pid), &space, sizeof(space), 0))
		memset(&space, 0, sizeof(space));
	space.ranges = place;
	space.range_count = count;
	space.executable_pages = executable_pages;
	return bpf_map__update_elem(maps->address_spaces, &pid, sizeof(pid), &space, sizeof(space),
				    BPF_ANY);
}

int unwind_maps_get_ranges(const struct unwind_maps *maps, uint32_t pid, struct unwind_place *place)
{
	struct address_space space;
	int error = bpf_map__lookup_elem(maps->address_spaces, &pid, sizeof(pid), &space,
					 sizeof(space), 0);

	if (!error)
		*place = space.ranges;
	return error;
}
