/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the first pass over a recording: that it is a message at all, where its strings are, and
 * what the comments say; those that name functions are read once these are. protobuf-c would unpack the whole file into structures many times its
 * size; so the outermost message is walked here, and its parts are handed to protobuf-c by others,
 * one at a time.
 */
#include "profile/pprof_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "profile/comments.h"
#include "profile/pprof.h"
#include "profile/utf8.h"

#define COMMENT_BYTES_MAX ((size_t)4 << 20) /* of one comment: command lines are long */

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

int reader_damaged(struct reader *reader, const char *what)
{
	return error_set(reader->error, -EINVAL, "damaged recording: %s", what);
}

int reader_no_memory(struct reader *reader)
{
	return error_set(reader->error, -ENOMEM, "no memory for the recording");
}

static int wire_varint(struct wire *wire, uint64_t *value)
{
	uint64_t result = 0;
	int shift;

	for (shift = 0; shift < 64 && wire->next < wire->end; shift += 7) {
		uint8_t byte = *wire->next++;

		result |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*value = result;
			return 0;
		}
	}
	return -EINVAL;
}

/* Reads the next field. Returns 1, 0 at the end, or -EINVAL. */
static int wire_field(struct wire *wire, struct field *field)
{
	uint64_t key, size = 0;

	if (wire->next == wire->end)
		return 0;
	if (wire_varint(wire, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX)
		return -EINVAL;
	*field = (struct field){.number = (uint32_t)(key >> 3), .type = key & 7};
	switch (field->type) {
	case WIRE_VARINT:
		return wire_varint(wire, &field->value) ? -EINVAL : 1;
	case WIRE_FIXED64:
		size = 8;
		break;
	case WIRE_FIXED32:
		size = 4;
		break;
	case WIRE_BYTES:
		if (wire_varint(wire, &size))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (size > (uint64_t)(wire->end - wire->next))
		return -EINVAL;
	field->data = wire->next;
	field->size = (size_t)size;
	wire->next += size;
	return 1;
}

int reader_add(struct reader *reader, struct list *list, const void *item, size_t size)
{
	void *grown;

	if (list->count >= PPROF_ITEMS_MAX)
		return error_set(reader->error, -E2BIG,
				 "the recording has more than %" PRIu32 " items of a kind",
				 PPROF_ITEMS_MAX);
	grown = array_grow(list->items, list->count, size);
	if (!grown)
		return reader_no_memory(reader);
	list->items = grown;
	memcpy((char *)grown + list->count++ * size, item, size);
	return 0;
}

/* The bytes of a string in the file, which are not terminated. */
static struct field string_field(const struct reader *reader, uint32_t index)
{
	const uint32_t *offsets = reader->strings.items;
	struct wire wire = {reader->file.next + offsets[index], reader->file.end};
	struct field field = {0};

	wire_field(&wire, &field);
	return field;
}

static int check_index(struct reader *reader, int64_t index)
{
	if (index < 0 || index >= reader->strings.count)
		return reader_damaged(reader, "it names a string that it does not have");
	return 0;
}

/* Copies a string, which must be valid, out of the file. */
static int string_copy(struct reader *reader, int64_t index, size_t size_max, char **copy)
{
	struct field field;
	char *text;

	if (check_index(reader, index))
		return -EINVAL;
	field = string_field(reader, (uint32_t)index);
	if (field.size > size_max)
		return reader_damaged(reader, "a string is too long");
	text = malloc(field.size + 1);
	if (!text)
		return reader_no_memory(reader);
	memcpy(text, field.data, field.size);
	text[field.size] = '\0';
	if (strlen(text) != field.size || !utf8_valid(text)) {
		free(text);
		return reader_damaged(reader, "a string is not valid UTF-8");
	}
	*copy = text;
	return 0;
}

int reader_string(struct reader *reader, int64_t index, uint32_t *id)
{
	uint32_t *names = reader->names.items;
	char *text;
	int result;

	if (index >= 0 && index < reader->names.count && names[index]) {
		*id = names[index] - 1;
		return 0;
	}
	result = string_copy(reader, index, PART_BYTES_MAX, &text);
	if (result)
		return result;
	result = profile_string(reader->profile, text, id);
	free(text);
	if (result)
		return reader_no_memory(reader);
	names[index] = *id + 1;
	return 0;
}

int reader_string_is(struct reader *reader, int64_t index, const char *text, bool *same)
{
	struct field field;

	if (check_index(reader, index))
		return -EINVAL;
	field = string_field(reader, (uint32_t)index);
	*same = field.size == strlen(text) && !memcmp(field.data, text, field.size);
	return 0;
}

static int read_string(struct reader *reader, const struct field *field, const uint8_t *start)
{
	uint32_t offset = (uint32_t)(start - reader->file.next), none = 0;
	int result;

	if (!reader->strings.count && field->size)
		return reader_damaged(reader, "its first string is not empty");
	result = reader_add(reader, &reader->strings, &offset, sizeof(offset));
	return result ? result : reader_add(reader, &reader->names, &none, sizeof(none));
}

static int read_comment(struct reader *reader, const struct field *field)
{
	struct wire packed;
	uint64_t index = field->value;
	int result = 0;

	if (field->type == WIRE_VARINT)
		return reader_add(reader, &reader->comments, &index, sizeof(index));
	if (!field->data)
		return reader_damaged(reader, "its comments cannot be read");
	packed = (struct wire){field->data, field->data + field->size};
	while (!result && packed.next < packed.end) {
		if (wire_varint(&packed, &index))
			return reader_damaged(reader, "its comments cannot be read");
		result = reader_add(reader, &reader->comments, &index, sizeof(index));
	}
	return result;
}

static int read_message(struct reader *reader)
{
	struct profile_facts *facts = &reader->profile->facts;
	struct wire wire = reader->file;
	const uint8_t *start = wire.next;
	struct field field;
	int more, result = 0;

	while ((more = wire_field(&wire, &field)) > 0 && !result) {
		bool bytes = field.type == WIRE_BYTES;

		if (field.number == FIELD_SAMPLE_TYPE && bytes)
			reader->values++;
		else if (field.number == FIELD_STRING && bytes)
			result = read_string(reader, &field, start);
		else if (field.number == FIELD_COMMENT && (bytes || field.type == WIRE_VARINT))
			result = read_comment(reader, &field);
		else if (field.number == FIELD_TIME && !bytes)
			facts->start_unix_ns = (int64_t)field.value;
		else if (field.number == FIELD_DURATION && !bytes)
			facts->duration_ns = (int64_t)field.value;
		else if (field.number >= FIELD_SAMPLE_TYPE && field.number <= FIELD_STRING &&
			 !bytes)
			more = -EINVAL;
		if (more < 0)
			break;
		start = wire.next;
	}
	if (result)
		return result;
	if (more < 0)
		return error_set(reader->error, -EINVAL,
				 reader->strings.count ? "damaged recording: its data breaks off"
						       : "it is not a pprof profile");
	return 0;
}

/* Hands each comment but the first to a function. */
static int comment_lines(struct reader *reader,
			 int (*read)(struct profile *, const char *, struct error *))
{
	const int64_t *indexes = reader->comments.items;
	int result = 0;
	uint32_t at;
	char *text;

	for (at = 1; !result && at < reader->comments.count; at++) {
		result = string_copy(reader, indexes[at], COMMENT_BYTES_MAX, &text);
		if (result)
			break;
		result = read(reader->profile, text, reader->error);
		free(text);
	}
	return result;
}

static int read_comments(struct reader *reader)
{
	const int64_t *indexes = reader->comments.items;
	char *text;
	int result;

	if (!reader->comments.count)
		return comments_check_format(NULL, reader->error);
	result = string_copy(reader, indexes[0], COMMENT_BYTES_MAX, &text);
	if (result)
		return result;
	result = comments_check_format(text, reader->error);
	free(text);
	return result ? result : comment_lines(reader, comments_read_line);
}

int reader_repeats(struct reader *reader)
{
	return comment_lines(reader, comments_read_repeat);
}

/* Adds to the sums of what the processes before had. */
static bool gc_overflows(const struct profile_gc *gc, struct profile_gc *sums)
{
	bool bad = __builtin_add_overflow(sums->ns, gc->ns, &sums->ns);
	int at;

	for (at = 0; at < GC_GENERATIONS; at++) {
		bad |= __builtin_add_overflow(sums->collections[at], gc->collections[at],
					      &sums->collections[at]);
		bad |= sums->collections[at] > INT64_MAX;
	}
	return bad;
}

/* Ledgers must not overflow when they are added up, whatever the order. */
static int check_facts(struct reader *reader)
{
	const struct profile *profile = reader->profile;
	int64_t ns = 0, waits = 0, length = 0;
	struct profile_gc gc = {0};
	uint32_t at, state;
	bool bad;

	bad = profile->facts.start_unix_ns < 0 || profile->facts.duration_ns < 0;
	if (reader->values != PPROF_SENDS && reader->values != PPROF_GROWN &&
	    reader->values != PPROF_VALUES)
		return reader_damaged(reader, "its sample types are not those of a recording");
	if (!profile->facts.rate_hz || profile->facts.rate_hz > 1000000000)
		return reader_damaged(reader, "its sampling rate is missing or makes no sense");
	for (at = 0; at < profile->thread_count && !bad; at++) {
		const struct profile_thread *thread = &profile->threads[at];

		bad |= __builtin_add_overflow(length, thread->end_ns - thread->start_ns, &length);
		for (state = 0; state < STATE_COUNT; state++) {
			bad |= __builtin_add_overflow(ns, thread->ns[state], &ns);
			bad |= __builtin_add_overflow(waits, thread->waits[state], &waits);
		}
	}
	for (at = 0; at < profile->process_count && !bad; at++)
		bad = gc_overflows(&profile->processes[at].gc, &gc);
	return bad ? reader_damaged(reader, "its times are too large") : 0;
}

int reader_outline(struct reader *reader)
{
	int result = read_message(reader);

	if (!result)
		result = read_comments(reader);
	return result ? result : check_facts(reader);
}

int reader_parts(struct reader *reader, uint32_t number,
		 int (*read)(struct reader *reader, const struct field *field))
{
	struct wire wire = reader->file;
	struct field field;
	int result = 0;

	while (!result && wire_field(&wire, &field) > 0) {
		if (field.number != number)
			continue;
		if (field.size > PART_BYTES_MAX)
			return reader_damaged(reader, "a part is too large");
		result = read(reader, &field);
	}
	return result;
}
