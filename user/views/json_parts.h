/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the parts of the report for scripts share. report_json.c holds the whole,
 * report_json_waits.c why threads waited.
 *
 * Functions here return a new reference, or NULL where memory ran out; NULL as a part makes the
 * whole NULL.
 */
#ifndef PYEBPF_JSON_PARTS_H
#define PYEBPF_JSON_PARTS_H

#include <jansson.h>
#include <stdio.h>

#include "profile/verdict.h"
#include "profile/waits.h"

/* Move `value` into the object, the array. */
json_t *json_put(json_t *object, const char *key, json_t *value);
json_t *json_append(json_t *array, json_t *value);

json_t *json_seconds(int64_t ns);

/*
 * The form in which a report is written to the stream. To a terminal nothing goes but ASCII: some
 * obey control characters that JSON does not ask to be escaped.
 */
size_t json_flags(FILE *stream, size_t indent);

/* Puts what a report says of waits into it. */
json_t *json_put_waits(json_t *report, const struct profile *profile, const struct waits *waits);

/* Puts the functions that exchange many messages in one call of another, if there are any. */
json_t *json_put_repeats(json_t *report, const struct profile *profile,
			 const struct exchanges *exchanges);

/* Puts the garbage collections of a process, or all of them, if they are known. */
json_t *json_put_gc(json_t *object, const struct profile_gc *gc, uint32_t rate_hz);
json_t *json_put_all_gc(json_t *report, const struct profile *profile);

#endif
