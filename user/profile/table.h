/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the numbering of things by their bytes: the first key gets id 0, the next other one 1, and
 * so on. Leaves to the callers what lies in their arrays at these ids.
 */
#ifndef PYEBPF_TABLE_H
#define PYEBPF_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_entry;

/* Starts zeroed. */
struct table {
	struct table_entry *entries;
	uint32_t count;
};

/*
 * Finds or adds a key of `size` bytes. Returns 1 with the new id, 0 with the known one, or
 * -ENOMEM. Keys are compared byte by byte, so structures must have no padding. *kept (NULL: not
 * wanted) becomes the table's own copy, which stays where it is until table_clear().
 */
int table_intern(struct table *table, const void *key, size_t size, uint32_t *id,
		 const void **kept);

void table_clear(struct table *table);

/*
 * Makes room for one more item of `size` bytes behind `count` of them. Returns the array, which
 * may have moved, or NULL (no memory, or UINT32_MAX items reached) with the old one untouched. An
 * array must be grown through this function alone, one item at a time, starting from NULL.
 */
void *array_grow(void *array, uint32_t count, size_t size);

#endif
