/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the writing of recordings. Leaves their reading to pprof_read.c, the wire to protobuf-c,
 * the comments' text to comments.c.
 *
 * A recording is written in pieces, each a Profile message of its own with some of the lists
 * filled: one behind the other they are one message. So memory does not grow with the recording.
 */
#include "profile/pprof.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "pprof.pb-c.h"
#include "profile/comments.h"
#include "profile/names.h"
#include "profile/pprof_words.h"
#include "profile/table.h"

#define CHUNK      (64 * 1024) /* bytes handed to zlib, and to the stream, at a time */
#define PAGE       4096
#define LABELS_MAX 16
#define GZIP       16 /* added to the window bits: zlib then writes gzip's header and check sum */

struct writer {
	ProtobufCBuffer base; /* first: protobuf-c hands it to writer_append() */
	const struct profile *profile;
	FILE *stream;
	z_stream zlib;
	int result;               /* the first failure; then nothing more is written */
	Pprof__Mapping *mappings; /* by the number of the module; behind them the kernel's */
	uint64_t *locations;      /* room for the deepest stack */
	uint32_t values;          /* sample types, see enum pprof_value */
	size_t pending;           /* bytes in `input` */
	uint8_t input[CHUNK];
	uint8_t output[CHUNK];
};

static void writer_deflate(struct writer *writer, int flush)
{
	size_t bytes;
	int status;

	writer->zlib.next_in = writer->input;
	writer->zlib.avail_in = (uInt)writer->pending;
	writer->pending = 0;
	do {
		writer->zlib.next_out = writer->output;
		writer->zlib.avail_out = CHUNK;
		status = deflate(&writer->zlib, flush);
		bytes = CHUNK - writer->zlib.avail_out;
		errno = 0;
		if (!writer->result && fwrite(writer->output, 1, bytes, writer->stream) != bytes)
			writer->result = errno ? -errno : -EIO;
	} while (status == Z_OK && !writer->zlib.avail_out && !writer->result);
}

static void writer_append(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
	struct writer *writer = (struct writer *)buffer;
	size_t part;

	while (size && !writer->result) {
		part = CHUNK - writer->pending;
		if (part > size)
			part = size;
		memcpy(writer->input + writer->pending, data, part);
		writer->pending += part;
		data += part;
		size -= part;
		if (writer->pending == CHUNK)
			writer_deflate(writer, Z_NO_FLUSH);
	}
}

static void writer_piece(struct writer *writer, const Pprof__Profile *piece)
{
	pprof__profile__pack_to_buffer(piece, &writer->base);
}

/* Index into the string table: the profile's own strings, then the words, then the comments. */
static int64_t word(const struct writer *writer, enum word which)
{
	return (int64_t)writer->profile->string_count + which;
}

static int write_strings(struct writer *writer)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	char *words[WORD_COUNT];
	struct comments comments;
	int64_t *indexes;
	uint32_t at;
	int result;

	result = comments_make(writer->profile, &comments);
	if (result)
		return result;
	indexes = calloc(comments.count, sizeof(*indexes));
	if (!indexes) {
		comments_free(&comments);
		return -ENOMEM;
	}
	piece.string_table = writer->profile->strings;
	piece.n_string_table = writer->profile->string_count;
	writer_piece(writer, &piece);
	for (at = 0; at < WORD_COUNT; at++)
		words[at] = (char *)word_text(at);
	piece.string_table = words;
	piece.n_string_table = WORD_COUNT;
	writer_piece(writer, &piece);
	for (at = 0; at < comments.count; at++)
		indexes[at] = word(writer, WORD_COUNT) + at;
	piece.string_table = comments.lines;
	piece.n_string_table = comments.count;
	piece.comment = indexes;
	piece.n_comment = comments.count;
	writer_piece(writer, &piece);
	free(indexes);
	comments_free(&comments);
	return 0;
}

static void write_types(struct writer *writer)
{
	static const enum word names[PPROF_VALUES][2] = {
		[PPROF_CPU] = {WORD_CPU, WORD_NANOSECONDS},
		[PPROF_WAIT] = {WORD_WAIT, WORD_NANOSECONDS},
		[PPROF_WAITS] = {WORD_WAITS, WORD_COUNT_UNIT},
		[PPROF_SENDS] = {WORD_SENDS, WORD_COUNT_UNIT},
		[PPROF_RECEIVES] = {WORD_RECEIVES, WORD_COUNT_UNIT},
		[PPROF_GROWN] = {WORD_GROWN, WORD_BYTES},
	};
	const struct profile_facts *facts = &writer->profile->facts;
	Pprof__ValueType types[PPROF_VALUES], *pointers[PPROF_VALUES];
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	uint32_t at;

	for (at = 0; at < writer->values; at++) {
		pprof__value_type__init(&types[at]);
		types[at].type = word(writer, names[at][0]);
		types[at].unit = word(writer, names[at][1]);
		pointers[at] = &types[at];
	}
	piece.sample_type = pointers;
	piece.n_sample_type = writer->values;
	piece.period_type = pointers[0];
	piece.period = facts->rate_hz ? 1000000000 / facts->rate_hz : 0;
	piece.default_sample_type = types[0].type;
	piece.time_nanos = facts->start_unix_ns;
	piece.duration_nanos = facts->duration_ns;
	writer_piece(writer, &piece);
}

/* The mapping that a function's code is in; NULL: none. */
static Pprof__Mapping *function_mapping(const struct writer *writer, uint32_t function)
{
	const struct profile_function *it = &writer->profile->functions[function];

	if (it->kind == KIND_KERNEL)
		return &writer->mappings[writer->profile->module_count];
	return it->kind == KIND_NATIVE && it->module ? &writer->mappings[it->module] : NULL;
}

/* Widens the range of addresses of a mapping to one more location. */
static void range_add(Pprof__Mapping *range, uint64_t address)
{
	uint64_t page = address & ~(uint64_t)(PAGE - 1);
	uint64_t limit = page > UINT64_MAX - PAGE ? UINT64_MAX : page + PAGE;

	if (!range->memory_limit || page < range->memory_start)
		range->memory_start = page;
	if (limit > range->memory_limit)
		range->memory_limit = limit;
}

static void write_mapping(struct writer *writer, uint32_t module, uint64_t id)
{
	const struct profile *profile = writer->profile;
	Pprof__Mapping *mapping = &writer->mappings[module];
	Pprof__Profile piece = PPROF__PROFILE__INIT;

	mapping->id = id;
	if (module < profile->module_count) {
		mapping->filename = profile->modules[module].path;
		mapping->build_id = profile->modules[module].build_id;
		mapping->file_offset = mapping->memory_start;
	} else {
		mapping->filename = word(writer, WORD_KERNEL_MAPPING);
	}
	mapping->has_functions = 1;
	mapping->has_filenames = 1;
	mapping->has_line_numbers = 1;
	piece.mapping = &mapping;
	piece.n_mapping = 1;
	writer_piece(writer, &piece);
}

/* The module to write first, because readers take it for the program: one that is no library. */
static uint32_t find_program(const struct writer *writer)
{
	const struct profile *profile = writer->profile;
	const char *path;
	uint32_t at;

	for (at = 1; at < profile->module_count; at++) {
		path = profile->strings[profile->modules[at].path];
		if (writer->mappings[at].memory_limit && path[0] == '/' && !strstr(path, ".so"))
			return at;
	}
	return 0;
}

/* Of the modules, those that a location is in. The kernel comes last. */
static void write_mappings(struct writer *writer)
{
	const struct profile *profile = writer->profile;
	Pprof__Mapping *mapping;
	uint32_t at, program;
	uint64_t id = 0;

	for (at = 0; at <= profile->module_count; at++)
		pprof__mapping__init(&writer->mappings[at]);
	for (at = 0; at < profile->location_count; at++) {
		mapping = function_mapping(writer, profile->locations[at].function);
		if (mapping)
			range_add(mapping, profile->locations[at].address);
	}
	program = find_program(writer);
	if (program)
		write_mapping(writer, program, ++id);
	for (at = 1; at <= profile->module_count; at++)
		if (writer->mappings[at].memory_limit && at != program)
			write_mapping(writer, at, ++id);
}

static void write_functions(struct writer *writer)
{
	const struct profile *profile = writer->profile;
	Pprof__Function function = PPROF__FUNCTION__INIT, *pointer = &function;
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	uint32_t at;

	piece.function = &pointer;
	piece.n_function = 1;
	for (at = 0; at < profile->function_count; at++) {
		function.id = (uint64_t)at + 1;
		function.name = profile->functions[at].name;
		function.filename = profile->functions[at].filename;
		function.start_line = profile->functions[at].start_line;
		writer_piece(writer, &piece);
	}
}

/*
 * What tells a location without a mapping from a Python one is that it has an address. Notices have
 * none, and get one on the page where no code is, by their names: there are readers that tell such
 * locations apart by nothing else.
 */
static uint64_t written_address(const struct profile *profile, const struct profile_location *it)
{
	const struct profile_function *function = &profile->functions[it->function];
	const char *name = profile->strings[function->name];
	uint32_t digest = 0;

	if (function->kind == KIND_PYTHON)
		return 0;
	if (function->kind == KIND_KERNEL || function->module || it->address)
		return it->address;
	while (*name)
		digest = digest * 31 + (unsigned char)*name++;
	return 1 + digest % (PPROF_NO_CODE - 1);
}

static void write_locations(struct writer *writer)
{
	const struct profile *profile = writer->profile;
	const Pprof__Mapping *mapping;
	Pprof__Location location = PPROF__LOCATION__INIT, *pointer = &location;
	Pprof__Line line = PPROF__LINE__INIT, *lines = &line;
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	uint32_t at;

	piece.location = &pointer;
	piece.n_location = 1;
	location.line = &lines;
	location.n_line = 1;
	for (at = 0; at < profile->location_count; at++) {
		line.function_id = (uint64_t)profile->locations[at].function + 1;
		line.line = profile->locations[at].line;
		mapping = function_mapping(writer, profile->locations[at].function);
		location.id = (uint64_t)at + 1;
		location.mapping_id = mapping ? mapping->id : 0;
		location.address = written_address(profile, &profile->locations[at]);
		writer_piece(writer, &piece);
	}
}

/* Says of each process whether it is the first of its pid and command: these name it in labels. */
static int find_first_processes(const struct profile *profile, bool *first)
{
	struct table table = {0};
	uint32_t key[2], at, id;
	int added = 0;

	for (at = 0; at < profile->process_count && added >= 0; at++) {
		key[0] = profile->processes[at].pid;
		key[1] = profile->processes[at].command;
		added = table_intern(&table, key, sizeof(key), &id, NULL);
		first[at] = added > 0;
	}
	table_clear(&table);
	return added < 0 ? added : 0;
}

struct labels {
	Pprof__Label items[LABELS_MAX];
	Pprof__Label *pointers[LABELS_MAX];
	size_t count;
};

static Pprof__Label *label_add(struct labels *labels, int64_t key, int64_t text, int64_t number)
{
	Pprof__Label *label = &labels->items[labels->count];

	pprof__label__init(label);
	label->key = key;
	label->str = text;
	label->num = number;
	labels->pointers[labels->count++] = label;
	return label;
}

/* Adds a time; 0 is none. */
static void label_add_ns(const struct writer *writer, struct labels *labels, enum word key,
			 int64_t ns)
{
	if (ns > 0)
		label_add(labels, word(writer, key), 0, ns)->num_unit =
			word(writer, WORD_NANOSECONDS);
}

/* The limit of a sample's waits; 0: none is known. */
static int64_t wait_limit(const struct profile_key *key)
{
	uint32_t length = key->length < PROFILE_LENGTH_MAX ? key->length : PROFILE_LENGTH_MAX;

	return length ? INT64_C(1) << length : 0;
}

static void labels_make(const struct writer *writer, const struct profile_sample *sample,
			bool first, struct labels *labels)
{
	const struct profile_key *key = &sample->key;
	const struct profile_process *process = &writer->profile->processes[key->process];
	const struct {
		enum word word;
		int64_t text;
	} texts[] = {
		{WORD_PROCESS, process->command},
		{WORD_CONTAINER, process->container},
		{WORD_CGROUP, process->cgroup},
		{WORD_THREAD, key->thread},
		{WORD_STATE, word(writer, WORD_STATES + key->state)},
		{WORD_LEAF,
		 key->state == STATE_RUNNING ? word(writer, WORD_LEAVES + key->leaf) : 0},
		{WORD_SYSCALL, key->syscall},
		{WORD_TARGET, key->target},
		{WORD_GIL_HOLDER, key->gil_holder},
		{WORD_WAKER, key->waker},
	};
	size_t at;

	labels->count = 0;
	label_add(labels, word(writer, WORD_PID), 0, process->pid);
	label_add(labels, word(writer, WORD_TID), 0, key->tid);
	for (at = 0; at < sizeof(texts) / sizeof(texts[0]); at++)
		if (texts[at].text)
			label_add(labels, word(writer, texts[at].word), texts[at].text, 0);
	label_add_ns(writer, labels, WORD_WAIT_BELOW, wait_limit(key));
	label_add_ns(writer, labels, WORD_LONGEST, sample->longest_ns);
	if (!first)
		label_add(labels, word(writer, WORD_PROCESS_INDEX), 0, key->process);
}

static void write_sample(struct writer *writer, const struct profile_sample *it, bool first)
{
	const struct profile_stack *stack = &writer->profile->stacks[it->key.stack];
	Pprof__Sample sample = PPROF__SAMPLE__INIT, *pointer = &sample;
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	int64_t values[PPROF_VALUES] = {
		[PPROF_WAITS] = it->waits,
		[PPROF_SENDS] = it->sends,
		[PPROF_RECEIVES] = it->receives,
		[PPROF_GROWN] = it->grown_bytes,
	};
	struct labels labels;
	uint32_t at;

	values[it->key.state == STATE_RUNNING ? PPROF_CPU : PPROF_WAIT] = it->ns;
	for (at = 0; at < stack->depth; at++)
		writer->locations[at] =
			(uint64_t)writer->profile->stack_locations[stack->first + at] + 1;
	labels_make(writer, it, first, &labels);
	sample.location_id = writer->locations;
	sample.n_location_id = stack->depth;
	sample.value = values;
	sample.n_value = writer->values;
	sample.label = labels.pointers;
	sample.n_label = labels.count;
	piece.sample = &pointer;
	piece.n_sample = 1;
	writer_piece(writer, &piece);
}

static int write_samples(struct writer *writer)
{
	const struct profile *profile = writer->profile;
	bool *first;
	uint32_t at;
	int result;

	first = calloc((size_t)profile->process_count + 1, sizeof(*first));
	if (!first)
		return -ENOMEM;
	result = find_first_processes(profile, first);
	for (at = 0; !result && at < profile->sample_count && !writer->result; at++)
		write_sample(writer, &profile->samples[at],
			     first[profile->samples[at].key.process]);
	free(first);
	return result;
}

static int writer_allocate(struct writer *writer)
{
	const struct profile *profile = writer->profile;
	uint32_t at, deepest = 1;

	writer->values = PPROF_GROWN;
	for (at = 0; at < profile->sample_count; at++)
		if (profile->samples[at].grown_bytes)
			writer->values = PPROF_VALUES;

	for (at = 0; at < profile->stack_count; at++)
		if (profile->stacks[at].depth > deepest)
			deepest = profile->stacks[at].depth;
	writer->locations = calloc(deepest, sizeof(*writer->locations));
	writer->mappings = calloc((size_t)profile->module_count + 1, sizeof(*writer->mappings));
	if (!writer->locations || !writer->mappings)
		return -ENOMEM;
	if (deflateInit2(&writer->zlib, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + GZIP, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	return 0;
}

static int write_all(struct writer *writer)
{
	int result;

	write_types(writer);
	result = write_strings(writer);
	if (result)
		return result;
	write_mappings(writer);
	write_functions(writer);
	write_locations(writer);
	result = write_samples(writer);
	if (result)
		return result;
	writer_deflate(writer, Z_FINISH);
	errno = 0;
	if (!writer->result && fflush(writer->stream))
		writer->result = errno ? -errno : -EIO;
	return writer->result;
}

int pprof_write(const struct profile *profile, FILE *stream, struct error *error)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	int result = -ENOMEM;

	if (writer) {
		writer->base.append = writer_append;
		writer->profile = profile;
		writer->stream = stream;
		result = writer_allocate(writer);
		if (!result)
			result = write_all(writer);
		deflateEnd(&writer->zlib);
		free(writer->locations);
		free(writer->mappings);
	}
	free(writer);
	if (result)
		error_set(error, result, "cannot write the recording: %s", strerror(-result));
	return result;
}
