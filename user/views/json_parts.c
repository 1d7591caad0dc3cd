/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the building of JSON in which a part that failed makes the whole fail. */
#include "views/json_parts.h"

#include <unistd.h>

#define SECOND 1e9
#define DIGITS 15 /* of a real number: all that a double keeps */

json_t *json_put(json_t *object, const char *key, json_t *value)
{
	if (!object) {
		json_decref(value);
		return NULL;
	}
	if (!value || json_object_set_new(object, key, value)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *json_append(json_t *array, json_t *value)
{
	if (!array) {
		json_decref(value);
		return NULL;
	}
	if (!value || json_array_append_new(array, value)) {
		json_decref(array);
		return NULL;
	}
	return array;
}

json_t *json_seconds(int64_t ns)
{
	return json_real((double)ns / SECOND);
}

size_t json_flags(FILE *stream, size_t indent)
{
	size_t flags = JSON_INDENT(indent) | JSON_REAL_PRECISION(DIGITS);

	return isatty(fileno(stream)) ? flags | JSON_ENSURE_ASCII : flags;
}
