/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the adding up and the order of tallies. */
#include "profile/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tally_find(struct tallies *tallies, const uint32_t key[TALLY_KEYS], struct tally **tally)
{
	uint32_t id;
	void *grown;
	int added;

	grown = array_grow(tallies->items, tallies->count, sizeof(*tallies->items));
	if (!grown)
		return -ENOMEM;
	tallies->items = grown;
	added = table_intern(&tallies->table, key, TALLY_KEYS * sizeof(*key), &id, NULL);
	if (added < 0)
		return added;
	if (added) {
		tallies->items[tallies->count] = (struct tally){.ns = 0};
		memcpy(tallies->items[tallies->count++].key, key, TALLY_KEYS * sizeof(*key));
	}
	*tally = &tallies->items[id];
	return 0;
}

void tally_add(struct tally *sum, const struct tally *part)
{
	sum->ns += part->ns;
	sum->active_ns += part->active_ns;
	sum->waits += part->waits;
	sum->sends += part->sends;
	sum->receives += part->receives;
	if (part->longest_ns > sum->longest_ns)
		sum->longest_ns = part->longest_ns;
}

struct tally tally_of(const struct profile_sample *sample, bool active)
{
	return (struct tally){
		.ns = sample->ns,
		.active_ns = active ? sample->ns : 0,
		.waits = sample->waits,
		.sends = sample->sends,
		.receives = sample->receives,
		.longest_ns = sample->longest_ns,
	};
}

int tally_compare(const void *left, const void *right)
{
	const struct tally *a = left, *b = right;

	if (a->ns != b->ns)
		return a->ns < b->ns ? 1 : -1;
	if (a->waits != b->waits)
		return a->waits < b->waits ? 1 : -1;
	if (a->sends != b->sends)
		return a->sends < b->sends ? 1 : -1;
	if (a->receives != b->receives)
		return a->receives < b->receives ? 1 : -1;
	return memcmp(a->key, b->key, sizeof(a->key));
}

void tallies_sort(struct tallies *tallies)
{
	table_clear(&tallies->table);
	if (tallies->count)
		qsort(tallies->items, tallies->count, sizeof(*tallies->items), tally_compare);
}

void tallies_clear(struct tallies *tallies)
{
	table_clear(&tallies->table);
	free(tallies->items);
	*tallies = (struct tallies){0};
}
