/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the parts of the report for scripts that say why threads waited. */
#include "views/json_parts.h"

#include "profile/names.h"
#include "profile/summary.h"

#define ROWS_MAX 200 /* of each table; what is left is summed up */

/* {"function", "file", "line"} of what a tally is charged to. */
static json_t *json_place(const struct profile *profile, const uint32_t key[TALLY_KEYS])
{
	const struct profile_function *function;
	json_t *object;

	if (key[WAIT_FUNCTION] == WAIT_NO_FUNCTION) {
		object = json_put(json_object(), "function", json_string(SUMMARY_NO_PYTHON));
		object = json_put(object, "file",
				  json_sprintf("[thread %s]", profile->strings[key[WAIT_THREAD]]));
		return json_put(object, "line", json_integer(0));
	}
	function = &profile->functions[key[WAIT_FUNCTION]];
	return json_pack("{s:s,s:s,s:i}", "function", profile->strings[function->name], "file",
			 profile->strings[function->filename], "line", (int)function->start_line);
}

static json_t *put_lengths(json_t *object, const struct waits *waits,
			   const struct target_row *target)
{
	const struct length_row *length = waits->lengths + target->length;
	json_t *histogram;
	uint32_t at;

	if (target->sums.longest_ns)
		object = json_put(object, "longest_s", json_seconds(target->sums.longest_ns));
	if (!target->length_count)
		return object;
	histogram = json_array();
	for (at = 0; at < target->length_count; at++, length++)
		histogram = json_append(
			histogram, json_pack("[o,I]", json_seconds(INT64_C(1) << length->length),
					     (json_int_t)length->waits));
	object = json_put(object, "histogram", histogram);
	if (wait_quantile(waits, target, 0.5) < 0)
		return object;
	object = json_put(object, "p50_s", json_seconds(wait_quantile(waits, target, 0.5)));
	return json_put(object, "p99_s", json_seconds(wait_quantile(waits, target, 0.99)));
}

static json_t *json_target(const struct profile *profile, const struct waits *waits,
			   const struct target_row *target)
{
	const struct tally *sums = &target->sums;
	json_t *object = json_place(profile, sums->key);

	object = json_put(object, "state", json_string(state_name(sums->key[WAIT_STATE])));
	object = json_put(object, "target", json_string(target->target));
	object = json_put(object, "waits", json_integer(sums->waits));
	object = json_put(object, "seconds", json_seconds(sums->ns));
	if (!waits->lengths_known)
		return object;
	object = json_put(object, "sends", json_integer(sums->sends));
	object = json_put(object, "receives", json_integer(sums->receives));
	return put_lengths(object, waits, target);
}

static json_t *put_targets(json_t *report, const struct profile *profile, const struct waits *waits)
{
	json_t *array = json_array();
	struct tally rest = {.ns = 0};
	uint32_t at;

	for (at = 0; at < waits->target_count; at++) {
		if (at < ROWS_MAX)
			array = json_append(array,
					    json_target(profile, waits, &waits->targets[at]));
		else
			tally_add(&rest, &waits->targets[at].sums);
	}
	report = json_put(report, "targets", array);
	if (waits->target_count <= ROWS_MAX)
		return report;
	return json_put(report, "targets_rest",
			json_pack("{s:I,s:I,s:I,s:I,s:o}", "rows",
				  (json_int_t)(waits->target_count - ROWS_MAX), "waits",
				  (json_int_t)rest.waits, "sends", (json_int_t)rest.sends,
				  "receives", (json_int_t)rest.receives, "seconds",
				  json_seconds(rest.ns)));
}

/* Who ended waits, by the function that waited. */
static json_t *json_wakers(const struct profile *profile, const struct tallies *wakers)
{
	json_t *array = json_array(), *object;
	const struct tally *waker;
	uint32_t at;

	for (at = 0; at < wakers->count && at < ROWS_MAX; at++) {
		waker = &wakers->items[at];
		object = json_place(profile, waker->key);
		object = json_put(object, "state", json_string(state_name(waker->key[WAIT_STATE])));
		object = json_put(object, "waker",
				  json_string(profile->strings[waker->key[WAIT_OTHER]]));
		object = json_put(object, "waits", json_integer(waker->waits));
		array = json_append(array, json_put(object, "seconds", json_seconds(waker->ns)));
	}
	return array;
}

/* What ran while a function wanted a CPU. */
static json_t *json_runqueue(const struct profile *profile, const struct tallies *runqueue)
{
	json_t *array = json_array(), *object;
	const struct tally *other;
	uint32_t at;

	for (at = 0; at < runqueue->count && at < ROWS_MAX; at++) {
		other = &runqueue->items[at];
		object = json_place(profile, other->key);
		object = json_put(object, "comm",
				  json_string(profile->strings[other->key[WAIT_OTHER]]));
		array = json_append(array, json_put(object, "seconds", json_seconds(other->ns)));
	}
	return array;
}

static json_t *json_gil(const struct waits *waits)
{
	json_t *array = json_array(), *object;
	const struct holder_row *holder;
	uint32_t at;

	for (at = 0; at < waits->holder_count && at < ROWS_MAX; at++) {
		holder = &waits->holders[at];
		object = json_pack("{s:s,s:s,s:i,s:I,s:o}", "function", holder->name, "file",
				   holder->file, "line", (int)holder->line, "waits",
				   (json_int_t)holder->sums.waits, "seconds",
				   json_seconds(holder->sums.ns));
		if (*holder->native)
			object = json_put(object, "native", json_string(holder->native));
		if (*holder->native_file)
			object = json_put(object, "native_file", json_string(holder->native_file));
		array = json_append(array, object);
	}
	return json_pack("{s:o,s:o}", "seconds", json_seconds(waits->gil.ns), "holders", array);
}

json_t *json_put_waits(json_t *report, const struct profile *profile, const struct waits *waits)
{
	report = put_targets(report, profile, waits);
	if (waits->wakers.count)
		report = json_put(report, "wakers", json_wakers(profile, &waits->wakers));
	if (waits->runqueue.count)
		report = json_put(report, "runqueue", json_runqueue(profile, &waits->runqueue));
	if (waits->holder_count || waits->lengths_known)
		report = json_put(report, "gil", json_gil(waits));
	return report;
}

static json_t *json_repeat(const struct profile *profile, const struct exchange *exchange)
{
	const struct profile_function *function = &profile->functions[exchange->function];
	const struct profile_function *caller = &profile->functions[exchange->caller];
	json_t *object;

	object = json_pack(
		"{s:s,s:s,s:i,s:s,s:s,s:i,s:i}", "function", profile->strings[function->name],
		"file", profile->strings[function->filename], "line", (int)function->start_line,
		"caller", profile->strings[caller->name], "caller_file",
		profile->strings[caller->filename], "caller_line", (int)caller->start_line,
		"call_line", (int)profile->locations[exchange->location].line);
	object = json_put(object, "target", json_string(profile->strings[exchange->target]));
	if (exchange->calls)
		object = json_put(object, "calls", json_integer((json_int_t)exchange->calls));
	object = json_put(object, "sends", json_integer((json_int_t)exchange->sends));
	if (exchange->calls)
		object = json_put(object, "most", json_integer((json_int_t)exchange->most));
	object = json_put(object, "at_least", json_boolean(exchange->at_least));
	object = json_put(object, "waits", json_integer(exchange->waits));
	return json_put(object, "seconds", json_seconds(exchange->ns));
}

json_t *json_put_repeats(json_t *report, const struct profile *profile,
			 const struct exchanges *exchanges)
{
	json_t *array;
	uint32_t at;

	array = json_array();
	for (at = 0; at < exchanges->count; at++)
		if (exchange_is_many(&exchanges->items[at]))
			array = json_append(array, json_repeat(profile, &exchanges->items[at]));
	if (json_array_size(array))
		return json_put(report, "repeats", array);
	json_decref(array);
	return report;
}

json_t *json_put_gc(json_t *object, const struct profile_gc *gc, uint32_t rate_hz)
{
	json_t *part;

	if (gc->source == GC_UNKNOWN)
		return object;
	part = json_pack("{s:s,s:o,s:o}", "by", gc_source_name(gc->source), "seconds",
			 json_seconds(gc->ns), "deviation_s",
			 json_seconds(gc_deviation(gc, rate_hz)));
	if (gc_is_counted(gc))
		part = json_put(part, "collections",
				json_pack("[I,I,I]", (json_int_t)gc->collections[0],
					  (json_int_t)gc->collections[1],
					  (json_int_t)gc->collections[2]));
	if (gc->source != GC_SAMPLED)
		part = json_put(part, "longest_s", json_seconds(gc->longest_ns));
	return json_put(object, "gc", part);
}

json_t *json_put_all_gc(json_t *report, const struct profile *profile)
{
	struct profile_gc gc = gc_of_all(profile);

	return json_put_gc(report, &gc, profile->facts.rate_hz);
}
