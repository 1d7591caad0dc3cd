/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the adding up of repeats. */
#include "profile/exchanges.h"

#include <errno.h>
#include <stdlib.h>

#include "profile/names.h"
#include "profile/table.h"

static int compare(const void *left, const void *right)
{
	const struct exchange *a = left, *b = right;

	if (a->sends != b->sends)
		return a->sends < b->sends ? 1 : -1;
	/* The nearest caller has the most calls, and says most. */
	if (a->calls != b->calls)
		return a->calls < b->calls ? 1 : -1;
	if (a->function != b->function)
		return a->function < b->function ? -1 : 1;
	if (a->caller != b->caller)
		return a->caller < b->caller ? -1 : 1;
	return a->target < b->target ? -1 : a->target > b->target;
}

/* Adds up what several processes have of the same functions and target. */
static int merge(const struct profile *profile, struct exchanges *exchanges)
{
	const struct profile_repeat *from;
	struct table table = {0};
	struct exchange *to;
	uint32_t at, key[3], id;
	int added = 0;

	exchanges->items = calloc((size_t)profile->repeat_count + 1, sizeof(*exchanges->items));
	if (!exchanges->items)
		return -ENOMEM;
	for (at = 0; at < profile->repeat_count; at++) {
		from = &profile->repeats[at];
		if (target_is_client(profile->strings[from->target]))
			continue;
		key[0] = from->caller;
		key[1] = from->function;
		key[2] = from->target;
		added = table_intern(&table, key, sizeof(key), &id, NULL);
		if (added < 0)
			break;
		to = &exchanges->items[id];
		if (added) {
			*to = (struct exchange){.caller = from->caller,
						.function = from->function,
						.location = from->location,
						.target = from->target};
			exchanges->count++;
		}
		to->calls += from->calls;
		to->sends += from->sends;
		to->at_least |= from->at_least;
		if (from->most > to->most) {
			to->most = from->most;
			to->location = from->location;
		}
	}
	table_clear(&table);
	if (exchanges->count)
		qsort(exchanges->items, exchanges->count, sizeof(*exchanges->items), compare);
	if (exchanges->count > EXCHANGES_MAX)
		exchanges->count = EXCHANGES_MAX;
	return added < 0 ? -ENOMEM : 0;
}

bool exchange_has(const struct profile *profile, const struct exchange *exchange, uint32_t id)
{
	const struct profile_stack *stack = &profile->stacks[id];
	bool found = false, same = exchange->caller == exchange->function;
	int32_t line = profile->locations[exchange->location].line;
	const struct profile_location *location;
	uint32_t at;

	for (at = 0; at < stack->depth; at++) {
		location = &profile->locations[profile->stack_locations[stack->first + at]];
		if (found && location->function == exchange->caller)
			return true;
		if (location->function != exchange->function)
			continue;
		if (same && location->line == line)
			return true;
		found = !same;
	}
	return false;
}

static void add_sample(const struct profile *profile, const struct profile_sample *sample,
		       struct exchange *exchange)
{
	enum column column = state_column(sample->key.state);

	if (!exchange_has(profile, exchange, sample->key.stack))
		return;
	if (column != COLUMN_IDLE && sample->key.state != STATE_POLL)
		exchange->whole_ns += sample->ns;
	if (sample->key.target != exchange->target || sample->key.state == STATE_RUNQUEUE)
		return;
	exchange->seen_sends += sample->sends;
	exchange->seen_receives += sample->receives;
	if (sample->key.state == STATE_RUNNING)
		return;
	exchange->ns += sample->ns;
	exchange->waits += sample->waits;
}

int exchanges_make(const struct profile *profile, const bool *active, struct exchanges *exchanges)
{
	struct exchanges made = {0};
	uint32_t at, which;
	int result = merge(profile, &made);

	for (at = 0; at < profile->sample_count && !result && made.count; at++)
		for (which = 0; which < made.count && (!active || active[at]); which++)
			add_sample(profile, &profile->samples[at], &made.items[which]);
	if (result)
		exchanges_free(&made);
	else
		*exchanges = made;
	return result;
}

void exchanges_free(struct exchanges *exchanges)
{
	free(exchanges->items);
	*exchanges = (struct exchanges){0};
}

bool exchange_is_many(const struct exchange *exchange)
{
	uint64_t calls = exchange->calls ? exchange->calls : 1;

	/* One call that goes on and on is a program's main loop. */
	if (exchange->calls == 1 && (exchange->caller == exchange->function || exchange->at_least))
		return false;
	return exchange->sends / calls >= EXCHANGES_MANY &&
	       (!exchange->seen_sends || exchange->seen_receives >= exchange->seen_sends / 2);
}
