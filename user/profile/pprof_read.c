/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the reading of recordings, which may come from anybody: each index is checked, each sum is
 * checked for overflow, and memory stays in proportion to the file's uncompressed size.
 *
 * protobuf-c would unpack the whole file into structures many times its size. So the outermost
 * message is walked here, and its parts are handed to protobuf-c one at a time.
 */
#include "profile/pprof.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "pprof.pb-c.h"
#include "profile/comments.h"
#include "profile/names.h"
#include "profile/pprof_words.h"
#include "profile/table.h"
#include "profile/utf8.h"

#define PART_BYTES_MAX    ((size_t)1 << 20)    /* of one sample, location, …: bounds protobuf-c */
#define COMMENT_BYTES_MAX ((size_t)4 << 20)    /* of one comment: command lines are long */
#define READ_FIRST        ((size_t)256 * 1024) /* bytes of the first buffer; doubled as needed */

/* Field numbers of message Profile in pprof.proto. */
enum {
	FIELD_SAMPLE = 2,
	FIELD_MAPPING = 3,
	FIELD_LOCATION = 4,
	FIELD_FUNCTION = 5,
	FIELD_STRING = 6,
	FIELD_TIME = 9,
	FIELD_DURATION = 10,
	FIELD_COMMENT = 13,
};

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire {
	const uint8_t *next;
	const uint8_t *end;
};

struct field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;      /* of a varint */
	const uint8_t *data; /* of bytes */
	size_t size;
};

/* An array that grows by one; see array_grow(). */
struct list {
	void *items;
	uint32_t count;
};

struct function_part {
	uint32_t name;
	uint32_t filename;
	int32_t start_line;
	uint8_t kind; /* enum function_kind; KIND_COUNT: no location tells */
	uint32_t id;  /* in the profile */
};

struct mapping_part {
	bool kernel;
};

/* A recording while it is read. Ids of the file are indexes plus one. */
struct reader {
	struct wire file;
	struct error *error;
	struct profile *profile;
	struct list strings;   /* uint32_t: offset of a string's field in the file */
	struct list names;     /* uint32_t: id in the profile plus one, 0: not yet there */
	struct list comments;  /* int64_t: indexes into strings */
	struct list mappings;  /* struct mapping_part */
	struct list functions; /* struct function_part */
	struct list locations; /* uint32_t: id in the profile */
	struct list stack;     /* uint32_t: of the sample being read */
	struct table processes;
	struct list first_processes; /* uint32_t: by pid and command */
	int64_t sum_ns;
	int64_t sum_waits;
};

static int damaged(struct reader *reader, const char *what)
{
	return error_set(reader->error, -EINVAL, "damaged recording: %s", what);
}

static int no_memory(struct reader *reader)
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

static int list_add(struct reader *reader, struct list *list, const void *item, size_t size)
{
	void *grown;

	if (list->count >= PPROF_ITEMS_MAX)
		return error_set(reader->error, -E2BIG,
				 "the recording has more than %" PRIu32 " items of a kind",
				 PPROF_ITEMS_MAX);
	grown = array_grow(list->items, list->count, size);
	if (!grown)
		return no_memory(reader);
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

/* Copies a string, which must be valid, out of the file. */
static int string_copy(struct reader *reader, int64_t index, size_t size_max, char **copy)
{
	struct field field;
	char *text;

	if (index < 0 || index >= reader->strings.count)
		return damaged(reader, "it names a string that it does not have");
	field = string_field(reader, (uint32_t)index);
	if (field.size > size_max)
		return damaged(reader, "a string is too long");
	text = malloc(field.size + 1);
	if (!text)
		return no_memory(reader);
	memcpy(text, field.data, field.size);
	text[field.size] = '\0';
	if (strlen(text) != field.size || !utf8_valid(text)) {
		free(text);
		return damaged(reader, "a string is not valid UTF-8");
	}
	*copy = text;
	return 0;
}

/* Brings a string into the profile, once. */
static int string_id(struct reader *reader, int64_t index, uint32_t *id)
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
		return no_memory(reader);
	names[index] = *id + 1;
	return 0;
}

static int read_string(struct reader *reader, const struct field *field, const uint8_t *start)
{
	uint32_t offset = (uint32_t)(start - reader->file.next), none = 0;
	int result;

	if (!reader->strings.count && field->size)
		return damaged(reader, "its first string is not empty");
	result = list_add(reader, &reader->strings, &offset, sizeof(offset));
	return result ? result : list_add(reader, &reader->names, &none, sizeof(none));
}

static int read_comment(struct reader *reader, const struct field *field)
{
	struct wire packed;
	uint64_t index = field->value;
	int result = 0;

	if (field->type == WIRE_VARINT)
		return list_add(reader, &reader->comments, &index, sizeof(index));
	if (!field->data)
		return damaged(reader, "its comments cannot be read");
	packed = (struct wire){field->data, field->data + field->size};
	while (!result && packed.next < packed.end) {
		if (wire_varint(&packed, &index))
			return damaged(reader, "its comments cannot be read");
		result = list_add(reader, &reader->comments, &index, sizeof(index));
	}
	return result;
}

/* First pass: what everything else refers to by index, and that the file is a message at all. */
static int read_outline(struct reader *reader)
{
	struct profile_facts *facts = &reader->profile->facts;
	struct wire wire = reader->file;
	const uint8_t *start = wire.next;
	struct field field;
	int more, result = 0;

	while ((more = wire_field(&wire, &field)) > 0 && !result) {
		bool bytes = field.type == WIRE_BYTES;

		if (field.number == FIELD_STRING && bytes)
			result = read_string(reader, &field, start);
		else if (field.number == FIELD_COMMENT && (bytes || field.type == WIRE_VARINT))
			result = read_comment(reader, &field);
		else if (field.number == FIELD_TIME && !bytes)
			facts->start_unix_ns = (int64_t)field.value;
		else if (field.number == FIELD_DURATION && !bytes)
			facts->duration_ns = (int64_t)field.value;
		else if (field.number >= FIELD_SAMPLE && field.number <= FIELD_STRING && !bytes)
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

static int read_comments(struct reader *reader)
{
	const int64_t *indexes = reader->comments.items;
	uint32_t at;
	char *text;
	int result = 0;

	if (!reader->comments.count)
		return comments_check_format(NULL, reader->error);
	for (at = 0; !result && at < reader->comments.count; at++) {
		result = string_copy(reader, indexes[at], COMMENT_BYTES_MAX, &text);
		if (result)
			break;
		if (at)
			result = comments_read_line(reader->profile, text, reader->error);
		else
			result = comments_check_format(text, reader->error);
		free(text);
	}
	return result;
}

/* Ledgers must not overflow when they are added up, whatever the order. */
static int check_facts(struct reader *reader)
{
	const struct profile *profile = reader->profile;
	int64_t ns = 0, waits = 0, length = 0;
	uint32_t at, state;
	bool bad;

	bad = profile->facts.start_unix_ns < 0 || profile->facts.duration_ns < 0;
	if (!profile->facts.rate_hz || profile->facts.rate_hz > 1000000000)
		return damaged(reader, "its sampling rate is missing or makes no sense");
	for (at = 0; at < profile->thread_count && !bad; at++) {
		const struct profile_thread *thread = &profile->threads[at];

		bad |= __builtin_add_overflow(length, thread->end_ns - thread->start_ns, &length);
		for (state = 0; state < STATE_COUNT; state++) {
			bad |= __builtin_add_overflow(ns, thread->ns[state], &ns);
			bad |= __builtin_add_overflow(waits, thread->waits[state], &waits);
		}
	}
	return bad ? damaged(reader, "its times are too large") : 0;
}

typedef int (*part_reader)(struct reader *reader, const struct field *field);

/* Hands each field of a number to a function. */
static int read_parts(struct reader *reader, uint32_t number, part_reader read)
{
	struct wire wire = reader->file;
	struct field field;
	int result = 0;

	while (!result && wire_field(&wire, &field) > 0) {
		if (field.number != number)
			continue;
		if (field.size > PART_BYTES_MAX)
			return damaged(reader, "a part is too large");
		result = read(reader, &field);
	}
	return result;
}

static int read_mapping(struct reader *reader, const struct field *field)
{
	struct mapping_part part = {0};
	Pprof__Mapping *mapping;
	struct field name;
	int64_t index;
	uint64_t id;

	mapping = pprof__mapping__unpack(NULL, field->size, field->data);
	if (!mapping)
		return damaged(reader, "a mapping cannot be read");
	index = mapping->filename;
	id = mapping->id;
	pprof__mapping__free_unpacked(mapping, NULL);
	if (id != (uint64_t)reader->mappings.count + 1)
		return damaged(reader, "its mappings are not in order");
	if (index < 0 || index >= reader->strings.count)
		return damaged(reader, "it names a string that it does not have");
	name = string_field(reader, (uint32_t)index);
	part.kernel = name.size == strlen(KERNEL_MAPPING) &&
		      !memcmp(name.data, KERNEL_MAPPING, name.size);
	return list_add(reader, &reader->mappings, &part, sizeof(part));
}

static int read_function(struct reader *reader, const struct field *field)
{
	struct function_part part = {.kind = KIND_COUNT};
	Pprof__Function *function;
	int result = 0;

	function = pprof__function__unpack(NULL, field->size, field->data);
	if (!function)
		return damaged(reader, "a function cannot be read");
	if (function->id != (uint64_t)reader->functions.count + 1)
		result = damaged(reader, "its functions are not in order");
	else if (function->start_line < INT32_MIN || function->start_line > INT32_MAX)
		result = damaged(reader, "a line number makes no sense");
	if (!result)
		result = string_id(reader, function->name, &part.name);
	if (!result)
		result = string_id(reader, function->filename, &part.filename);
	part.start_line = (int32_t)function->start_line;
	pprof__function__free_unpacked(function, NULL);
	return result ? result : list_add(reader, &reader->functions, &part, sizeof(part));
}

/* Checks a location and takes it apart. *kind is that of its function. */
static int location_unpack(struct reader *reader, const struct field *field, uint64_t *id,
			   struct profile_location *it, enum function_kind *kind)
{
	const struct mapping_part *mappings = reader->mappings.items;
	Pprof__Location *location;
	int result = 0;

	location = pprof__location__unpack(NULL, field->size, field->data);
	if (!location)
		return damaged(reader, "a location cannot be read");
	if (location->n_line != 1 || !location->line[0]->function_id ||
	    location->line[0]->function_id > reader->functions.count ||
	    location->mapping_id > reader->mappings.count)
		result = damaged(reader, "a location names a function or a file that is not there");
	else if (location->line[0]->line < INT32_MIN || location->line[0]->line > INT32_MAX)
		result = damaged(reader, "a line number makes no sense");
	if (!result) {
		it->function = (uint32_t)location->line[0]->function_id - 1;
		it->line = (int32_t)location->line[0]->line;
		it->address = location->address;
		*id = location->id;
		*kind = !location->mapping_id                       ? KIND_PYTHON
			: mappings[location->mapping_id - 1].kernel ? KIND_KERNEL
								    : KIND_NATIVE;
	}
	pprof__location__free_unpacked(location, NULL);
	return result;
}

/* A function's kind is that of its locations. */
static int read_kind(struct reader *reader, const struct field *field)
{
	struct function_part *functions = reader->functions.items;
	struct profile_location it;
	enum function_kind kind;
	uint64_t id;
	int result;

	result = location_unpack(reader, field, &id, &it, &kind);
	if (result)
		return result;
	if (functions[it.function].kind != KIND_COUNT && functions[it.function].kind != kind)
		return damaged(reader, "a function is of two kinds");
	functions[it.function].kind = (uint8_t)kind;
	return 0;
}

static int add_functions(struct reader *reader)
{
	struct function_part *parts = reader->functions.items;
	struct profile_function function;
	uint32_t at;

	for (at = 0; at < reader->functions.count; at++) {
		function.name = parts[at].name;
		function.filename = parts[at].filename;
		function.start_line = parts[at].start_line;
		function.kind = parts[at].kind == KIND_COUNT ? KIND_PYTHON : parts[at].kind;
		if (profile_function(reader->profile, &function, &parts[at].id))
			return no_memory(reader);
	}
	return 0;
}

static int read_location(struct reader *reader, const struct field *field)
{
	const struct function_part *functions = reader->functions.items;
	struct profile_location it;
	enum function_kind kind;
	uint64_t id;
	uint32_t found;
	int result;

	result = location_unpack(reader, field, &id, &it, &kind);
	if (result)
		return result;
	if (id != (uint64_t)reader->locations.count + 1)
		return damaged(reader, "its locations are not in order");
	it.function = functions[it.function].id;
	if (profile_location(reader->profile, &it, &found))
		return no_memory(reader);
	return list_add(reader, &reader->locations, &found, sizeof(found));
}

/* Numbers the processes by what samples call them. */
static int index_processes(struct reader *reader)
{
	const struct profile *profile = reader->profile;
	uint32_t key[2], at, id;
	int added, result = 0;

	for (at = 0; at < profile->process_count && !result; at++) {
		key[0] = profile->processes[at].pid;
		key[1] = profile->processes[at].command;
		added = table_intern(&reader->processes, key, sizeof(key), &id, NULL);
		if (added < 0)
			return no_memory(reader);
		if (added)
			result = list_add(reader, &reader->first_processes, &at, sizeof(at));
	}
	return result;
}

/* What the labels of a sample say. Numbers are -1 and strings 0 where there is no label. */
struct label_values {
	int64_t pid, tid, process_index;
	uint32_t process, thread, state, leaf, syscall, target, gil_holder;
};

static int label_read(struct reader *reader, const Pprof__Label *label, struct label_values *values)
{
	const struct {
		enum word word;
		int64_t *number;
		uint32_t *text;
	} places[] = {
		{WORD_PID, &values->pid, NULL},
		{WORD_TID, &values->tid, NULL},
		{WORD_PROCESS_INDEX, &values->process_index, NULL},
		{WORD_PROCESS, NULL, &values->process},
		{WORD_THREAD, NULL, &values->thread},
		{WORD_STATE, NULL, &values->state},
		{WORD_LEAF, NULL, &values->leaf},
		{WORD_SYSCALL, NULL, &values->syscall},
		{WORD_TARGET, NULL, &values->target},
		{WORD_GIL_HOLDER, NULL, &values->gil_holder},
	};
	struct field key;
	const char *text;
	size_t at;

	if (label->key < 0 || label->key >= reader->strings.count)
		return damaged(reader, "it names a string that it does not have");
	key = string_field(reader, (uint32_t)label->key);
	for (at = 0; at < sizeof(places) / sizeof(places[0]); at++) {
		text = word_text(places[at].word);
		if (key.size != strlen(text) || memcmp(key.data, text, key.size))
			continue;
		if (places[at].text)
			return string_id(reader, label->str, places[at].text);
		*places[at].number = label->num;
	}
	return 0;
}

/* Finds the process that a sample belongs to. */
static int find_process(struct reader *reader, const struct label_values *values, uint32_t *process)
{
	const struct profile *profile = reader->profile;
	uint32_t key[2] = {(uint32_t)values->pid, values->process}, count = reader->processes.count;
	const uint32_t *first = reader->first_processes.items;
	uint32_t id;
	int added;

	if (values->process_index >= 0) {
		if (values->process_index >= profile->process_count)
			return damaged(reader, "a sample's process is not there");
		*process = (uint32_t)values->process_index;
		return 0;
	}
	if (values->pid < 0 || values->pid > UINT32_MAX)
		return damaged(reader, "a sample has no process");
	added = table_intern(&reader->processes, key, sizeof(key), &id, NULL);
	if (added < 0)
		return no_memory(reader);
	if (added || id >= count)
		return damaged(reader, "a sample's process is not there");
	*process = first[id];
	return 0;
}

static int sample_key(struct reader *reader, const Pprof__Sample *sample, struct profile_key *key)
{
	struct label_values values = {.pid = -1, .tid = -1, .process_index = -1};
	char **strings;
	int result = 0, state, leaf = LEAF_PYTHON;
	size_t at;

	for (at = 0; at < sample->n_label && !result; at++)
		result = label_read(reader, sample->label[at], &values);
	if (!result)
		result = find_process(reader, &values, &key->process);
	if (result)
		return result;
	strings = reader->profile->strings;
	state = state_find(strings[values.state]);
	if (values.leaf)
		leaf = leaf_find(strings[values.leaf]);
	if (state < 0 || leaf < 0 || values.tid < 0 || values.tid > UINT32_MAX)
		return damaged(reader, "a sample's thread, state or leaf makes no sense");
	key->tid = (uint32_t)values.tid;
	key->thread = values.thread;
	key->state = (uint32_t)state;
	key->leaf = state == STATE_RUNNING ? (uint32_t)leaf : LEAF_PYTHON;
	key->syscall = values.syscall;
	key->target = values.target;
	key->gil_holder = values.gil_holder;
	return 0;
}

static int sample_stack(struct reader *reader, const Pprof__Sample *sample, uint32_t *stack)
{
	const uint32_t *locations = reader->locations.items;
	int result = 0;
	size_t at;

	reader->stack.count = 0;
	for (at = 0; at < sample->n_location_id && !result; at++) {
		if (!sample->location_id[at] || sample->location_id[at] > reader->locations.count)
			return damaged(reader, "a sample names a location that is not there");
		result = list_add(reader, &reader->stack, &locations[sample->location_id[at] - 1],
				  sizeof(*locations));
	}
	if (result)
		return result;
	if (profile_stack(reader->profile, reader->stack.items, reader->stack.count, stack))
		return no_memory(reader);
	return 0;
}

/* Adds a sample's values, unless their sum over all samples would overflow. */
static int sample_values(struct reader *reader, const Pprof__Sample *sample, uint32_t index)
{
	struct profile_sample *it = &reader->profile->samples[index];
	const int64_t *value = sample->value;
	bool running = it->key.state == STATE_RUNNING;

	if (sample->n_value != 3 || value[0] < 0 || value[1] < 0 || value[2] < 0 ||
	    value[running ? 1 : 0])
		return damaged(reader, "a sample's values make no sense");
	if (__builtin_add_overflow(reader->sum_ns, value[!running], &reader->sum_ns) ||
	    __builtin_add_overflow(reader->sum_waits, value[2], &reader->sum_waits))
		return damaged(reader, "its times are too large");
	it->ns += value[!running];
	it->waits += value[2];
	return 0;
}

static int read_sample(struct reader *reader, const struct field *field)
{
	struct profile_key key = {0};
	Pprof__Sample *sample;
	uint32_t index;
	int result;

	sample = pprof__sample__unpack(NULL, field->size, field->data);
	if (!sample)
		return damaged(reader, "a sample cannot be read");
	result = sample_key(reader, sample, &key);
	if (!result)
		result = sample_stack(reader, sample, &key.stack);
	if (!result && profile_sample(reader->profile, &key, &index))
		result = no_memory(reader);
	if (!result)
		result = sample_values(reader, sample, index);
	if (!result && reader->profile->sample_count > PPROF_ITEMS_MAX)
		result = error_set(reader->error, -E2BIG,
				   "the recording has more than %" PRIu32 " samples",
				   PPROF_ITEMS_MAX);
	pprof__sample__free_unpacked(sample, NULL);
	return result;
}

static int read_all(struct reader *reader)
{
	int result;

	result = read_outline(reader);
	if (!result)
		result = read_comments(reader);
	if (!result)
		result = check_facts(reader);
	if (!result)
		result = read_parts(reader, FIELD_MAPPING, read_mapping);
	if (!result)
		result = read_parts(reader, FIELD_FUNCTION, read_function);
	if (!result)
		result = read_parts(reader, FIELD_LOCATION, read_kind);
	if (!result)
		result = add_functions(reader);
	if (!result)
		result = read_parts(reader, FIELD_LOCATION, read_location);
	if (!result)
		result = index_processes(reader);
	if (!result)
		result = read_parts(reader, FIELD_SAMPLE, read_sample);
	return result;
}

int pprof_parse(const void *data, size_t size, struct profile **profile, struct error *error)
{
	struct reader reader = {.error = error};
	int result;

	if (size > PPROF_BYTES_MAX)
		return error_set(error, -E2BIG, "the recording is larger than %zu MiB",
				 PPROF_BYTES_MAX >> 20);
	reader.file.next = data;
	reader.file.end = reader.file.next + size;
	reader.profile = profile_new();
	result = reader.profile ? read_all(&reader) : no_memory(&reader);
	free(reader.strings.items);
	free(reader.names.items);
	free(reader.comments.items);
	free(reader.mappings.items);
	free(reader.functions.items);
	free(reader.locations.items);
	free(reader.stack.items);
	free(reader.first_processes.items);
	table_clear(&reader.processes);
	if (result)
		profile_free(reader.profile);
	else
		*profile = reader.profile;
	return result;
}

static int gzip_failed(gzFile file, struct error *error)
{
	int status, code = errno;
	const char *text = gzerror(file, &status);

	if (status == Z_ERRNO)
		return error_set(error, code ? -code : -EIO, "%s", strerror(code ? code : EIO));
	if (status == Z_MEM_ERROR)
		return error_set(error, -ENOMEM, "no memory for the recording");
	if (status == Z_BUF_ERROR)
		return error_set(error, -EINVAL,
				 "the file is cut short: it was not written or copied whole");
	return error_set(error, -EINVAL, "damaged gzip data (%s)", text);
}

/* Stores the uncompressed bytes, to be freed by the caller. */
static int gzip_read(gzFile file, uint8_t **data, size_t *size, struct error *error)
{
	size_t room = READ_FIRST, used = 0;
	uint8_t *buffer = malloc(room), *grown;
	int bytes, status, result = 0;

	while (buffer) {
		errno = 0;
		bytes = gzread(file, buffer + used, (unsigned int)(room - used));
		gzerror(file, &status);
		if (bytes < 0 || (status != Z_OK && status != Z_STREAM_END)) {
			result = gzip_failed(file, error);
			break;
		}
		used += (size_t)bytes;
		if (!bytes) {
			*data = buffer;
			*size = used;
			return 0;
		}
		if (used < room)
			continue;
		if (room >= PPROF_BYTES_MAX) {
			result = error_set(error, -E2BIG,
					   "uncompressed it is larger than %zu MiB: no recording "
					   "of pyebpf is",
					   PPROF_BYTES_MAX >> 20);
			break;
		}
		room *= 2;
		grown = realloc(buffer, room);
		if (!grown) {
			free(buffer);
			buffer = NULL;
			break;
		}
		buffer = grown;
	}
	free(buffer);
	return result ? result : error_set(error, -ENOMEM, "no memory for the recording");
}

static int file_read(int file, struct profile **profile, struct error *error)
{
	gzFile gzip = gzdopen(file, "rb");
	uint8_t *data = NULL;
	size_t size = 0;
	int result;

	if (!gzip) {
		close(file);
		return error_set(error, -ENOMEM, "no memory for the recording");
	}
	result = gzip_read(gzip, &data, &size, error);
	if (!result && !size)
		result = error_set(error, -EINVAL, "the file is empty");
	else if (!result && gzdirect(gzip))
		result = error_set(error, -EINVAL, "it is not gzip data, so no recording");
	else if (!result)
		result = pprof_parse(data, size, profile, error);
	free(data);
	gzclose(gzip);
	return result;
}

int pprof_read(const char *path, struct profile **profile, struct error *error)
{
	struct error reason = {""};
	int file, result;

	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return error_set(error, -errno, "cannot read %s: %s", path, strerror(errno));
	result = file_read(file, profile, &reason);
	if (result)
		error_set(error, result, "cannot read %s: %s", path, reason.text);
	return result;
}
