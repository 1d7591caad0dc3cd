/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the room for lists of ranges in the kernel's chunks: taking some, giving it back. Leaves
 * what is in the lists to unwinder.h, their form to include/unwind.h.
 */
#ifndef PYEBPF_RANGE_LISTS_H
#define PYEBPF_RANGE_LISTS_H

#include <stdint.h>

#include "capture/unwind_maps.h"

struct range_lists;

/* A list in the kernel. Zeroed: none. */
struct range_list {
	struct unwind_place place;
	uint32_t size_class; /* it has room for 1 << size_class blocks */
};

/* `chunk_count` is how many chunks there are, of others too, and is counted on. NULL: no memory. */
struct range_lists *range_lists_new(const struct unwind_maps *maps, uint32_t *chunk_count);
void range_lists_free(struct range_lists *lists);

/* Writes a list of up to UNWIND_RANGES_MAX into room of its own. 0, -E2BIG, -ENOMEM or -errno. */
int range_lists_take(struct range_lists *lists, const struct unwind_range *ranges, uint32_t count,
		     struct range_list *list);

/*
 * Gives the room back. It is used again only after some time: a walk that has just begun may still
 * be reading there.
 */
void range_lists_give(struct range_lists *lists, struct range_list *list);

uint64_t range_lists_bytes(const struct range_lists *lists);

#endif
