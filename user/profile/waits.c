/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the computing of struct waits, but for holders.c. */
#include "profile/waits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/holders.h"
#include "profile/library.h"

#define NO_GROUP UINT32_MAX

struct builder {
	const struct profile *profile;
	const bool *active;
	struct waits *waits;
	struct tallies targets; /* as samples have them; then in groups: */
	struct tallies lengths; /* by target and length */
	uint32_t *groups;       /* by target: its group */
	uint32_t *sizes;        /* by group: the targets in it */
	uint32_t *places;       /* by target: its row in waits.targets, before these are sorted */
};

static int add(struct tallies *tallies, const uint32_t key[TALLY_KEYS], const struct tally *part,
	       uint32_t *id)
{
	struct tally *tally;
	int result = tally_find(tallies, key, &tally);

	if (result)
		return result;
	tally_add(tally, part);
	if (id)
		*id = (uint32_t)(tally - tallies->items);
	return 0;
}

/* Adds the waits for a target, or what was sent to it while the thread ran. */
static int add_target(struct builder *builder, const struct profile_sample *sample,
		      struct tally part)
{
	int64_t owner = stack_own_location(builder->profile, sample->key.stack);
	uint32_t key[TALLY_KEYS] = {WAIT_NO_FUNCTION, sample->key.thread, sample->key.state,
				    sample->key.target};
	uint32_t length[TALLY_KEYS] = {0};
	int result;

	if (!sample->key.target)
		return 0;
	if (owner >= 0) {
		key[WAIT_FUNCTION] = builder->profile->locations[owner].function;
		key[WAIT_THREAD] = 0;
	}
	if (sample->key.state == STATE_RUNNING) {
		if (!sample->sends && !sample->receives)
			return 0;
		key[WAIT_STATE] = STATE_SOCKET;
		part = (struct tally){.sends = part.sends, .receives = part.receives};
	}
	result = add(&builder->targets, key, &part, &length[0]);
	if (result || !sample->key.length || !part.waits)
		return result;
	length[1] =
		sample->key.length < PROFILE_LENGTH_MAX ? sample->key.length : PROFILE_LENGTH_MAX;
	return add(&builder->lengths, length, &part, NULL);
}

static int add_sample(struct builder *builder, const struct profile_sample *sample, bool active)
{
	int64_t owner = profile_stack_owner(builder->profile, sample->key.stack);
	uint32_t key[TALLY_KEYS] = {WAIT_NO_FUNCTION, sample->key.thread, sample->key.state};
	struct tally part = tally_of(sample, active);
	int result = 0;

	builder->waits->lengths_known |=
		sample->key.length || sample->longest_ns || sample->sends || sample->receives;
	if (owner >= 0) {
		key[WAIT_FUNCTION] = builder->profile->locations[owner].function;
		key[WAIT_THREAD] = 0;
	}
	if (sample->key.state == STATE_RUNQUEUE) {
		key[WAIT_OTHER] = sample->key.target;
		return key[WAIT_OTHER] ? add(&builder->waits->runqueue, key, &part, NULL) : 0;
	}
	if (sample->key.state == STATE_GIL)
		tally_add(&builder->waits->gil, &part);
	if (sample->key.waker) {
		key[WAIT_OTHER] = sample->key.waker;
		result = add(&builder->waits->wakers, key, &part, NULL);
	}
	return result ? result : add_target(builder, sample, part);
}

/*
 * How much of a target's text tells the peer's address, where its port is an ephemeral one; 0 where
 * it is not, or no peer.
 */
static size_t address_length(const char *target)
{
	const char *colon = strrchr(target, ':'), *at;
	long port = 0;

	if (!colon || colon == target || strchr("/@", target[0]) || strlen(colon) != 6)
		return 0;
	for (at = colon + 1; *at; at++) {
		if (*at < '0' || *at > '9')
			return 0;
		port = port * 10 + (*at - '0');
	}
	return port >= WAIT_EPHEMERAL_MIN && port <= UINT16_MAX ? (size_t)(colon - target) : 0;
}

/* Finds for each target the group of those that differ in the port alone, and counts them. */
static int find_groups(struct builder *builder)
{
	struct table addresses = {0}, groups = {0};
	const struct tally *target;
	uint32_t at, key[2], id;
	const char *text;
	size_t length;
	int added = 0;

	for (at = 0; at < builder->targets.count && added >= 0; at++) {
		target = &builder->targets.items[at];
		text = builder->profile->strings[target->key[WAIT_OTHER]];
		length = target->key[WAIT_STATE] == STATE_SOCKET ||
					 target->key[WAIT_STATE] == STATE_POLL
				 ? address_length(text)
				 : 0;
		builder->groups[at] = NO_GROUP;
		if (!length)
			continue;
		added = table_intern(&addresses, text, length, &key[1], NULL);
		if (added < 0)
			break;
		/* A function and a thread are never both known, and the one is below the other. */
		key[0] = target->key[WAIT_FUNCTION] == WAIT_NO_FUNCTION
				 ? builder->profile->function_count + target->key[WAIT_THREAD]
				 : target->key[WAIT_FUNCTION];
		added = table_intern(&groups, key, sizeof(key), &id, NULL);
		if (added >= 0) {
			builder->groups[at] = id;
			builder->sizes[id]++;
		}
	}
	table_clear(&addresses);
	table_clear(&groups);
	return added < 0 ? added : 0;
}

static int add_label(struct waits *waits, const char *text, size_t length, const char **label)
{
	char *copy;
	void *grown;

	grown = array_grow(waits->labels, waits->label_count, sizeof(*waits->labels));
	if (!grown)
		return -ENOMEM;
	waits->labels = grown;
	if (asprintf(&copy, "%.*s:*", (int)length, text) < 0)
		return -ENOMEM;
	waits->labels[waits->label_count++] = copy;
	*label = copy;
	return 0;
}

/* Makes a row of each target that stands alone, and of each group. */
static int make_targets(struct builder *builder)
{
	struct waits *waits = builder->waits;
	struct target_row *row;
	uint32_t at, group, *rows;
	const char *text;
	int result = 0;

	waits->targets = calloc((size_t)builder->targets.count + 1, sizeof(*waits->targets));
	rows = malloc(((size_t)builder->targets.count + 1) * sizeof(*rows));
	if (!waits->targets || !rows) {
		free(rows);
		return -ENOMEM;
	}
	memset(rows, 0xff, ((size_t)builder->targets.count + 1) * sizeof(*rows));
	for (at = 0; at < builder->targets.count && !result; at++) {
		group = builder->groups[at];
		if (group != NO_GROUP && builder->sizes[group] <= WAIT_PEERS_MAX)
			group = NO_GROUP;
		text = builder->profile->strings[builder->targets.items[at].key[WAIT_OTHER]];
		builder->places[at] = group == NO_GROUP || rows[group] == NO_GROUP
					      ? waits->target_count++
					      : rows[group];
		row = &waits->targets[builder->places[at]];
		if (row->target) {
			tally_add(&row->sums, &builder->targets.items[at]);
			continue;
		}
		row->sums = builder->targets.items[at];
		row->target = text;
		if (group == NO_GROUP)
			continue;
		rows[group] = builder->places[at];
		result = add_label(waits, text, address_length(text), &row->target);
	}
	free(rows);
	return result;
}

struct order {
	struct target_row target; /* first: tally_compare() */
	uint32_t row;
};

static int compare_lengths(const void *left, const void *right)
{
	const struct length_row *a = left, *b = right;

	if (a->target != b->target)
		return a->target < b->target ? -1 : 1;
	return a->length < b->length ? -1 : a->length > b->length;
}

/* Sorts the targets; *sorted: by row, where it is now. */
static int sort_targets(struct waits *waits, uint32_t *sorted)
{
	struct order *order = calloc((size_t)waits->target_count + 1, sizeof(*order));
	uint32_t at;

	if (!order)
		return -ENOMEM;
	for (at = 0; at < waits->target_count; at++)
		order[at] = (struct order){waits->targets[at], at};
	qsort(order, waits->target_count, sizeof(*order), tally_compare);
	for (at = 0; at < waits->target_count; at++) {
		waits->targets[at] = order[at].target;
		sorted[order[at].row] = at;
	}
	free(order);
	return 0;
}

/* Gives the targets the lengths of their waits. Those of a group's targets become one. */
static int make_lengths(struct builder *builder, const uint32_t *sorted)
{
	struct waits *waits = builder->waits;
	struct length_row *length, *last;
	const struct tally *tally;
	uint32_t at, count = 0;

	waits->lengths = calloc((size_t)builder->lengths.count + 1, sizeof(*waits->lengths));
	if (!waits->lengths)
		return -ENOMEM;
	for (at = 0; at < builder->lengths.count; at++) {
		tally = &builder->lengths.items[at];
		waits->lengths[at] = (struct length_row){sorted[builder->places[tally->key[0]]],
							 tally->key[1], tally->waits};
	}
	qsort(waits->lengths, builder->lengths.count, sizeof(*waits->lengths), compare_lengths);
	for (at = 0; at < builder->lengths.count; at++) {
		length = &waits->lengths[at];
		last = count ? &waits->lengths[count - 1] : NULL;
		if (last && !compare_lengths(last, length)) {
			last->waits += length->waits;
			continue;
		}
		if (!waits->targets[length->target].length_count++)
			waits->targets[length->target].length = count;
		waits->lengths[count++] = *length;
	}
	waits->length_count = count;
	return 0;
}

static int group_targets(struct builder *builder)
{
	size_t count = (size_t)builder->targets.count + 1;
	uint32_t *sorted = calloc(count, sizeof(*sorted));
	int result = -ENOMEM;

	builder->groups = calloc(count, sizeof(*builder->groups));
	builder->sizes = calloc(count, sizeof(*builder->sizes));
	builder->places = calloc(count, sizeof(*builder->places));
	if (sorted && builder->groups && builder->sizes && builder->places)
		result = find_groups(builder);
	if (!result)
		result = make_targets(builder);
	if (!result)
		result = sort_targets(builder->waits, sorted);
	if (!result)
		result = make_lengths(builder, sorted);
	free(sorted);
	return result;
}

static int build(struct builder *builder)
{
	const struct profile *profile = builder->profile;
	uint32_t at;
	int result = 0;

	for (at = 0; at < profile->sample_count && !result; at++)
		result = add_sample(builder, &profile->samples[at],
				    !builder->active || builder->active[at]);
	if (!result)
		result = group_targets(builder);
	if (!result)
		result = holders_make(profile, builder->active, builder->waits);
	tallies_sort(&builder->waits->wakers);
	tallies_sort(&builder->waits->runqueue);
	return result;
}

int waits_make(const struct profile *profile, const bool *active, struct waits **waits)
{
	struct builder builder = {.profile = profile, .active = active};
	int result = -ENOMEM;

	builder.waits = calloc(1, sizeof(*builder.waits));
	if (builder.waits)
		result = build(&builder);
	tallies_clear(&builder.targets);
	tallies_clear(&builder.lengths);
	free(builder.groups);
	free(builder.sizes);
	free(builder.places);
	if (result)
		waits_free(builder.waits);
	else
		*waits = builder.waits;
	return result;
}

void waits_free(struct waits *waits)
{
	uint32_t at;

	if (!waits)
		return;
	for (at = 0; at < waits->label_count; at++)
		free(waits->labels[at]);
	free(waits->labels);
	free(waits->targets);
	free(waits->lengths);
	free(waits->holders);
	tallies_clear(&waits->wakers);
	tallies_clear(&waits->runqueue);
	free(waits);
}

int64_t wait_quantile(const struct waits *waits, const struct target_row *target, double part)
{
	const struct length_row *lengths = waits->lengths + target->length;
	double count = 0, before = 0, low, high, value;
	uint32_t at;

	for (at = 0; at < target->length_count; at++)
		count += (double)lengths[at].waits;
	if (count <= 0)
		return -1;
	for (at = 0; at + 1 < target->length_count; at++) {
		if (before + (double)lengths[at].waits >= count * part)
			break;
		before += (double)lengths[at].waits;
	}
	high = (double)(INT64_C(1) << lengths[at].length);
	low = lengths[at].length > 1 ? high / 2 : 0;
	value = low + (high - low) * (count * part - before) / (double)lengths[at].waits;
	if (target->sums.longest_ns && value > (double)target->sums.longest_ns)
		value = (double)target->sums.longest_ns;
	return (int64_t)value;
}
