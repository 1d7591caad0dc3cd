/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the hash table (uthash) behind struct table, and how arrays grow. */
#include "profile/table.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* uthash then leaves the entry out and calls the macro, instead of ending the program. */
#define HASH_NONFATAL_OOM       1
#define uthash_nonfatal_oom(it) (free(it), (it) = NULL)
#include <uthash.h>

#define ARRAY_FIRST 16 /* items in the first allocation; a power of two */

struct table_entry {
	UT_hash_handle hh;
	uint32_t id;
	unsigned char key[];
};

int table_intern(struct table *table, const void *key, size_t size, uint32_t *id, const void **kept)
{
	struct table_entry *entry = NULL;
	int added = 0;

	if (size > INT_MAX)
		return -ENOMEM;
	HASH_FIND(hh, table->entries, key, size, entry);
	if (!entry) {
		if (table->count == UINT32_MAX)
			return -ENOMEM;
		entry = malloc(sizeof(*entry) + size);
		if (!entry)
			return -ENOMEM;
		memcpy(entry->key, key, size);
		entry->id = table->count;
		HASH_ADD_KEYPTR(hh, table->entries, entry->key, size, entry);
		if (!entry)
			return -ENOMEM;
		table->count++;
		added = 1;
	}
	*id = entry->id;
	if (kept)
		*kept = entry->key;
	return added;
}

void table_clear(struct table *table)
{
	struct table_entry *entry, *next;

	HASH_ITER (hh, table->entries, entry, next) {
		HASH_DEL(table->entries, entry);
		free(entry);
	}
	table->count = 0;
}

void *array_grow(void *array, uint32_t count, size_t size)
{
	size_t room;

	/* The room is always the smallest power of two that holds the items. */
	if (count && (count < ARRAY_FIRST || (count & (count - 1))))
		return array;
	if (count == UINT32_MAX)
		return NULL;
	room = count ? (size_t)count * 2 : ARRAY_FIRST;
	return reallocarray(array, room, size);
}
