/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks that everything in a profile survives writing and reading, that files follow pprof's
 * rules, and that damaged and foreign files are refused with the reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#include "made_profile.h"
#include "pprof.pb-c.h"
#include "profile/pprof.h"

static void temporary(char path[32])
{
	strcpy(path, "/tmp/test_pprof.XXXXXX");
	int file = mkstemp(path);

	assert_true(file >= 0);
	close(file);
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *stream = fopen(path, "w");

	assert_non_null(stream);
	assert_int_equal(fwrite(data, 1, size, stream), size);
	assert_int_equal(fclose(stream), 0);
}

static size_t written(const struct profile *profile, char **data)
{
	struct error error;
	size_t size;
	FILE *stream = open_memstream(data, &size);

	assert_non_null(stream);
	assert_int_equal(pprof_write(profile, stream, &error), 0);
	assert_int_equal(fclose(stream), 0);
	return size;
}

static struct profile *read_back(const struct profile *profile)
{
	struct profile *again;
	struct error error = {""};
	char path[32], *data;
	size_t size = written(profile, &data);

	temporary(path);
	write_file(path, data, size);
	if (pprof_read(path, &again, &error))
		fail_msg("%s", error.text);
	unlink(path);
	free(data);
	return again;
}

/* The uncompressed message, through protobuf-c as a reader of its own. */
static Pprof__Profile *unpacked(const struct profile *profile)
{
	static uint8_t buffer[1 << 20];
	Pprof__Profile *message;
	char path[32], *data;
	size_t size = written(profile, &data);
	gzFile file;
	int bytes;

	temporary(path);
	write_file(path, data, size);
	file = gzopen(path, "rb");
	bytes = gzread(file, buffer, sizeof(buffer));
	assert_true(bytes > 0 && (size_t)bytes < sizeof(buffer));
	gzclose(file);
	unlink(path);
	free(data);
	message = pprof__profile__unpack(NULL, (size_t)bytes, buffer);
	assert_non_null(message);
	return message;
}

#define SAME_STRING(a, b, field) \
	assert_string_equal((a)->strings[(a)->field], (b)->strings[(b)->field])
#define SAME_ITEM_STRING(a, b, list, at, field) \
	assert_string_equal((a)->strings[(a)->list[at].field], (b)->strings[(b)->list[at].field])

static void compare_facts(const struct profile *a, const struct profile *b)
{
	int loss;

	SAME_STRING(a, b, facts.command_line);
	SAME_STRING(a, b, facts.host);
	SAME_STRING(a, b, facts.kernel);
	SAME_STRING(a, b, facts.version);
	SAME_STRING(a, b, facts.wait_hook);
	assert_int_equal(a->facts.start_unix_ns, b->facts.start_unix_ns);
	assert_int_equal(a->facts.duration_ns, b->facts.duration_ns);
	assert_int_equal(a->facts.rate_hz, b->facts.rate_hz);
	assert_int_equal(a->facts.captured, b->facts.captured);
	assert_int_equal(a->facts.profiler_cpu_ns, b->facts.profiler_cpu_ns);
	assert_int_equal(a->facts.profiler_rss_bytes, b->facts.profiler_rss_bytes);
	for (loss = 0; loss < LOSS_COUNT; loss++)
		assert_int_equal(a->facts.lost[loss], b->facts.lost[loss]);
}

static void compare_collections(const struct profile_gc *a, const struct profile_gc *b)
{
	assert_int_equal(a->source, b->source);
	assert_memory_equal(a->collections, b->collections, sizeof(a->collections));
	assert_int_equal(a->ns, b->ns);
	assert_int_equal(a->longest_ns, b->longest_ns);
	assert_int_equal(a->counted, b->counted);
	assert_int_equal(a->timed, b->timed);
}

static void compare_ledgers(const struct profile *a, const struct profile *b)
{
	uint32_t at;

	assert_int_equal(a->process_count, b->process_count);
	for (at = 0; at < a->process_count; at++) {
		assert_int_equal(a->processes[at].pid, b->processes[at].pid);
		SAME_ITEM_STRING(a, b, processes, at, command);
		SAME_ITEM_STRING(a, b, processes, at, python);
		compare_collections(&a->processes[at].gc, &b->processes[at].gc);
	}
	assert_int_equal(a->thread_count, b->thread_count);
	for (at = 0; at < a->thread_count; at++) {
		SAME_ITEM_STRING(a, b, threads, at, name);
		assert_int_equal(a->threads[at].process, b->threads[at].process);
		assert_int_equal(a->threads[at].tid, b->threads[at].tid);
		assert_int_equal(a->threads[at].start_ns, b->threads[at].start_ns);
		assert_int_equal(a->threads[at].end_ns, b->threads[at].end_ns);
		assert_memory_equal(a->threads[at].ns, b->threads[at].ns, sizeof(a->threads->ns));
		assert_memory_equal(a->threads[at].waits, b->threads[at].waits,
				    sizeof(a->threads->waits));
	}
}

static void compare_modules(const struct profile *a, const struct profile *b, uint32_t in_a,
			    uint32_t in_b)
{
	assert_string_equal(a->strings[a->modules[in_a].path], b->strings[b->modules[in_b].path]);
	assert_string_equal(a->strings[a->modules[in_a].build_id],
			    b->strings[b->modules[in_b].build_id]);
	assert_int_equal(in_a == 0, in_b == 0);
}

static void compare_stacks(const struct profile *a, const struct profile *b, uint32_t in_a,
			   uint32_t in_b)
{
	const struct profile_location *x, *y;
	uint32_t at;

	assert_int_equal(a->stacks[in_a].depth, b->stacks[in_b].depth);
	for (at = 0; at < a->stacks[in_a].depth; at++) {
		x = &a->locations[a->stack_locations[a->stacks[in_a].first + at]];
		y = &b->locations[b->stack_locations[b->stacks[in_b].first + at]];
		assert_int_equal(x->line, y->line);
		assert_int_equal(x->address, y->address);
		assert_int_equal(a->functions[x->function].kind, b->functions[y->function].kind);
		assert_int_equal(a->functions[x->function].start_line,
				 b->functions[y->function].start_line);
		assert_string_equal(a->strings[a->functions[x->function].name],
				    b->strings[b->functions[y->function].name]);
		assert_string_equal(a->strings[a->functions[x->function].filename],
				    b->strings[b->functions[y->function].filename]);
		compare_modules(a, b, a->functions[x->function].module,
				b->functions[y->function].module);
	}
}

static void compare_functions(const struct profile *a, const struct profile *b, uint32_t in_a,
			      uint32_t in_b)
{
	SAME_ITEM_STRING(a, b, functions, in_a, name);
}

static void compare_repeats(const struct profile *a, const struct profile *b)
{
	uint32_t at;

	assert_int_equal(a->repeat_count, b->repeat_count);
	for (at = 0; at < a->repeat_count; at++) {
		const struct profile_repeat *x = &a->repeats[at], *y = &b->repeats[at];

		assert_int_equal(x->process, y->process);
		assert_int_equal(x->calls, y->calls);
		assert_int_equal(x->sends, y->sends);
		assert_int_equal(x->most, y->most);
		SAME_ITEM_STRING(a, b, repeats, at, target);
		compare_functions(a, b, x->caller, y->caller);
		compare_functions(a, b, x->function, y->function);
		compare_functions(a, b, a->locations[x->location].function,
				  b->locations[y->location].function);
		assert_int_equal(a->locations[x->location].line, b->locations[y->location].line);
	}
}

static void compare(const struct profile *a, const struct profile *b)
{
	uint32_t at;

	compare_facts(a, b);
	compare_ledgers(a, b);
	compare_repeats(a, b);
	assert_int_equal(a->module_count, b->module_count);
	assert_int_equal(a->function_count, b->function_count);
	assert_int_equal(a->location_count, b->location_count);
	assert_int_equal(a->sample_count, b->sample_count);
	for (at = 0; at < a->sample_count; at++) {
		assert_int_equal(a->samples[at].key.process, b->samples[at].key.process);
		assert_int_equal(a->samples[at].key.tid, b->samples[at].key.tid);
		assert_int_equal(a->samples[at].key.state, b->samples[at].key.state);
		assert_int_equal(a->samples[at].key.leaf, b->samples[at].key.leaf);
		SAME_ITEM_STRING(a, b, samples, at, key.thread);
		SAME_ITEM_STRING(a, b, samples, at, key.syscall);
		SAME_ITEM_STRING(a, b, samples, at, key.target);
		SAME_ITEM_STRING(a, b, samples, at, key.gil_holder);
		SAME_ITEM_STRING(a, b, samples, at, key.waker);
		assert_int_equal(a->samples[at].key.length, b->samples[at].key.length);
		assert_int_equal(a->samples[at].longest_ns, b->samples[at].longest_ns);
		assert_int_equal(a->samples[at].sends, b->samples[at].sends);
		assert_int_equal(a->samples[at].receives, b->samples[at].receives);
		assert_int_equal(a->samples[at].grown_bytes, b->samples[at].grown_bytes);
		assert_int_equal(a->samples[at].ns, b->samples[at].ns);
		assert_int_equal(a->samples[at].waits, b->samples[at].waits);
		compare_stacks(a, b, a->samples[at].key.stack, b->samples[at].key.stack);
	}
}

static void test_round_trip(void **state)
{
	struct profile *profile = made_worker(), *again;
	int loss;

	for (loss = 0; loss < LOSS_COUNT; loss++)
		profile->facts.lost[loss] = (uint64_t)loss * loss;
	again = read_back(profile);
	compare(profile, again);
	profile_free(profile);
	profile_free(again);
}

/* Kernel, native and Python frames in turn; two files of one path; code without a file; notices. */
static void test_round_trip_mixed(void **state)
{
	struct profile *profile = made_mixed(), *again = read_back(profile), *once_more;

	compare(profile, again);
	assert_int_equal(again->module_count, 7);
	once_more = read_back(again);
	compare(profile, once_more);
	profile_free(profile);
	profile_free(again);
	profile_free(once_more);
}

/* Messages, lengths, wakers, collections, growth, repeats: also of functions in no sample. */
static void test_round_trip_reasons(void **state)
{
	struct profile *profile = made_shop(), *again;
	struct profile_key key = {.tid = 100, .state = STATE_FILE, .length = PROFILE_LENGTH_MAX};
	struct profile_repeat repeat = profile->repeats[0];
	struct profile_process process = {.pid = 5};
	uint32_t id;

	made_values(profile, key, NULL, 0,
		    (struct made_values){.ns = 1, .longest_ns = INT64_MAX, .grown_bytes = -4096});
	key.length = 1;
	made_values(profile, key, NULL, 0, (struct made_values){.ns = 1, .waits = 1});
	repeat.location = made_frame(profile, KIND_PYTHON, "no\nsample\"", "/x: y.py", -1, -2);
	repeat.caller = profile->locations[repeat.location].function;
	repeat.calls = repeat.most = repeat.sends = 1;
	assert_int_equal(profile_repeat(profile, &repeat), 0);
	for (process.gc.source = 0; process.gc.source < GC_SOURCE_COUNT; process.gc.source++) {
		process.gc.collections[0] = process.gc.source ? INT64_MAX / 8 : 0;
		process.gc.ns = process.gc.source ? INT64_MAX / 8 : 0;
		process.gc.longest_ns = process.gc.source;
		process.gc.counted = process.gc.source == GC_SAMPLED;
		process.gc.timed = process.gc.source == GC_UPROBE;
		assert_int_equal(profile_process(profile, &process, &id), 0);
	}
	again = read_back(profile);
	compare(profile, again);
	profile_free(profile);
	profile_free(again);
}

static void test_round_trip_empty(void **state)
{
	struct profile *profile = profile_new(), *again;

	profile->facts.rate_hz = 1;
	again = read_back(profile);
	compare(profile, again);
	profile_free(profile);
	profile_free(again);
}

/* A process that execs itself: same pid, same command, another process. */
static void test_round_trip_same_process_twice(void **state)
{
	struct profile *profile = made_worker(), *again;
	struct profile_key key = {.tid = 4242, .state = STATE_FILE};

	key.process = made_process(profile, 4242, "gunicorn app:wsgi");
	assert_int_equal(key.process, 1);
	made_sample(profile, key, NULL, 0, 3, 1);
	key.process = made_process(profile, 4242, "another");
	made_sample(profile, key, NULL, 0, 4, 1);
	again = read_back(profile);
	compare(profile, again);
	profile_free(profile);
	profile_free(again);
}

/* Every character that a name can have, names of 300 characters, stacks of 1500 frames. */
static void test_round_trip_odd_names(void **state)
{
	static uint32_t frames[1500];
	struct profile *profile = made_worker(), *again;
	struct profile_key key = {.tid = 9, .state = STATE_FILE};
	char name[301];
	uint32_t at;

	memset(name, 'n', 300);
	name[300] = '\0';
	for (at = 0; at < 1500; at++)
		frames[at] = made_frame(profile, KIND_PYTHON, name,
					"\x1b[31m;\n\"\\ \xf0\x9f\x90\x8d", -5, (int)at);
	key.thread = made_string(profile, "thread: {\n\t\x01\x7f\"");
	key.target = made_string(profile, "/tmp/a;b\nlost ring_full: 9");
	made_sample(profile, key, frames, 1500, INT64_MAX / 4, INT64_MAX / 4);
	made_ledger(profile, 0, 9, INT64_MAX / 4);
	again = read_back(profile);
	compare(profile, again);
	profile_free(profile);
	profile_free(again);
}

static const char *text_of(const Pprof__Profile *message, int64_t index)
{
	assert_in_range(index, 0, message->n_string_table - 1);
	return message->string_table[index];
}

/* What readers of pprof stumble over. */
static void test_pprof_rules(void **state)
{
	struct profile *profile = made_worker();
	Pprof__Profile *message = unpacked(profile);
	size_t at, label, other;

	assert_string_equal(message->string_table[0], "");
	assert_int_equal(message->n_sample_type, 5); /* nothing has grown */
	assert_string_equal(text_of(message, message->sample_type[0]->type), "cpu");
	assert_string_equal(text_of(message, message->sample_type[1]->type), "wait");
	assert_string_equal(text_of(message, message->sample_type[2]->type), "waits");
	assert_string_equal(text_of(message, message->sample_type[2]->unit), "count");
	assert_string_equal(text_of(message, message->sample_type[3]->type), "sends");
	assert_string_equal(text_of(message, message->sample_type[4]->type), "receives");
	assert_string_equal(text_of(message, message->sample_type[4]->unit), "count");
	assert_string_equal(text_of(message, message->default_sample_type), "cpu");
	assert_string_equal(text_of(message, message->period_type->unit), "nanoseconds");
	assert_int_equal(message->period, 1000000000 / 99);
	for (at = 0; at < message->n_function; at++)
		assert_int_equal(message->function[at]->id, at + 1);
	for (at = 0; at < message->n_location; at++) {
		const Pprof__Location *location = message->location[at];
		uint64_t function = location->line[0]->function_id;
		enum function_kind kind = profile->functions[function - 1].kind;

		assert_int_equal(location->id, at + 1);
		assert_int_equal(location->mapping_id != 0, kind != KIND_PYTHON);
		if (kind == KIND_KERNEL)
			assert_string_equal(
				text_of(message,
					message->mapping[location->mapping_id - 1]->filename),
				"[kernel.kallsyms]");
	}
	for (at = 0; at < message->n_sample; at++)
		for (label = 0; label < message->sample[at]->n_label; label++)
			for (other = 0; other < label; other++)
				assert_int_not_equal(message->sample[at]->label[label]->key,
						     message->sample[at]->label[other]->key);
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

static const Pprof__Label *label_of(const Pprof__Profile *message, const Pprof__Sample *sample,
				    const char *key)
{
	size_t at;

	for (at = 0; at < sample->n_label; at++)
		if (!strcmp(text_of(message, sample->label[at]->key), key))
			return sample->label[at];
	return NULL;
}

static void test_pprof_reasons(void **state)
{
	struct profile *profile = made_shop();
	Pprof__Profile *message = unpacked(profile);
	const Pprof__Label *label;
	int64_t sends = 0, grown = 0;
	size_t at, wakers = 0;

	assert_int_equal(message->n_sample_type, 6);
	assert_string_equal(text_of(message, message->sample_type[5]->type), "grown");
	assert_string_equal(text_of(message, message->sample_type[5]->unit), "bytes");
	for (at = 0; at < message->n_sample; at++) {
		assert_int_equal(message->sample[at]->n_value, 6);
		sends += message->sample[at]->value[3];
		grown += message->sample[at]->value[5];
		wakers += label_of(message, message->sample[at], "waker") != NULL;
	}
	assert_int_equal(sends, 6407);
	assert_int_equal(grown, 12000000);
	assert_int_equal(wakers, 2);
	label = label_of(message, message->sample[0], "wait_below_ns");
	assert_int_equal(label->num, 1 << 20);
	assert_string_equal(text_of(message, label->num_unit), "nanoseconds");
	label = label_of(message, message->sample[0], "longest_ns");
	assert_int_equal(label->num, 1040000);
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

/* Readers place native code by mappings, and tell what has none apart by its address or lines. */
static void test_pprof_mappings(void **state)
{
	struct profile *profile = made_mixed();
	Pprof__Profile *message = unpacked(profile);
	const Pprof__Location *location;
	const Pprof__Mapping *mapping;
	enum function_kind kind;
	int native = 0, notices = 0;
	size_t at;

	/* Six modules and the kernel, the program first. */
	assert_int_equal(message->n_mapping, 7);
	assert_string_equal(text_of(message, message->mapping[0]->filename), "/usr/bin/python3.11");
	assert_string_equal(text_of(message, message->mapping[0]->build_id), "dd44");
	assert_string_equal(text_of(message, message->mapping[6]->filename), "[kernel.kallsyms]");
	for (at = 0; at < message->n_mapping; at++) {
		mapping = message->mapping[at];
		assert_int_equal(mapping->id, at + 1);
		assert_true(mapping->memory_start < mapping->memory_limit);
		assert_true(mapping->memory_start % 4096 == 0);
		assert_int_equal(mapping->file_offset, at < 6 ? mapping->memory_start : 0);
		assert_true(mapping->has_functions);
		assert_string_not_equal(text_of(message, mapping->filename), "");
	}
	for (at = 0; at < message->n_location; at++) {
		location = message->location[at];
		kind = profile->functions[location->line[0]->function_id - 1].kind;
		if (location->mapping_id) {
			mapping = message->mapping[location->mapping_id - 1];
			assert_true(location->address >= mapping->memory_start);
			assert_true(location->address < mapping->memory_limit);
			native += kind == KIND_NATIVE;
		} else if (kind == KIND_NATIVE) {
			assert_int_not_equal(location->address, 0);
			notices += location->address < 4096;
		} else {
			assert_int_equal(kind, KIND_PYTHON);
			assert_int_equal(location->address, 0);
		}
	}
	assert_int_equal(native, 7);
	assert_int_equal(notices, 3);
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

/* Packs the message and has it read; returns the reason why it was refused, which it must be. */
static const char *refusal(const Pprof__Profile *message)
{
	static struct error error;
	size_t size = pprof__profile__get_packed_size(message);
	uint8_t *data = malloc(size);
	struct profile *profile = NULL;

	assert_non_null(data);
	pprof__profile__pack(message, data);
	error.text[0] = '\0';
	assert_int_equal(pprof_parse(data, size, &profile, &error), -EINVAL);
	assert_null(profile);
	free(data);
	return error.text;
}

/* Each break is of one number, which is put back afterwards. */
#define REFUSED(place, value, reason)                              \
	do {                                                       \
		__typeof__(place) kept = (place);                  \
		(place) = (value);                                 \
		assert_non_null(strstr(refusal(message), reason)); \
		(place) = kept;                                    \
	} while (0)

static void test_dangling(void **state)
{
	struct profile *profile = made_worker();
	Pprof__Profile *message = unpacked(profile);
	int64_t none = (int64_t)message->n_string_table;
	Pprof__Sample *sample = message->sample[0];
	Pprof__Location *native = message->location[message->n_location - 1];
	size_t at;

	for (at = 0; at < message->n_location; at++)
		if (message->location[at]->mapping_id)
			native = message->location[at];
	REFUSED(message->function[0]->name, none, "string that it does not have");
	REFUSED(message->function[0]->filename, -1, "string that it does not have");
	REFUSED(message->function[1]->id, 1, "not in order");
	REFUSED(message->function[0]->start_line, INT64_C(1) << 40, "line number");
	REFUSED(message->location[0]->id, 7, "not in order");
	REFUSED(message->location[0]->line[0]->function_id, 0, "not there");
	REFUSED(message->location[0]->line[0]->function_id, message->n_function + 1, "not there");
	REFUSED(message->location[0]->line[0]->line, INT64_MIN, "line number");
	REFUSED(native->mapping_id, message->n_mapping + 1, "not there");
	REFUSED(message->mapping[0]->id, 9, "not in order");
	REFUSED(message->mapping[0]->filename, none, "string that it does not have");
	REFUSED(sample->location_id[0], 0, "location that is not there");
	REFUSED(sample->location_id[0], message->n_location + 1, "location that is not there");
	REFUSED(sample->n_value, 2, "values");
	REFUSED(sample->value[1], -1, "values");
	REFUSED(sample->value[0], 1, "values"); /* CPU time of a waiting thread */
	REFUSED(sample->value[1], INT64_MAX, "too large");
	REFUSED(sample->value[2], INT64_MAX, "too large");
	for (at = 0; at < sample->n_label; at++) {
		REFUSED(sample->label[at]->key, none, "string that it does not have");
		if (sample->label[at]->str)
			REFUSED(sample->label[at]->str, none, "string that it does not have");
	}
	REFUSED(sample->n_label, 0, "no process");
	REFUSED(message->comment[3], none, "string that it does not have");
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

static void test_dangling_reasons(void **state)
{
	struct profile *profile = made_shop();
	Pprof__Profile *message = unpacked(profile);
	Pprof__Sample *sample = message->sample[0];
	Pprof__Label *length = (Pprof__Label *)label_of(message, sample, "wait_below_ns");
	Pprof__Label *longest = (Pprof__Label *)label_of(message, sample, "longest_ns");
	size_t types = message->n_sample_type;

	REFUSED(message->n_sample_type, types - 1, "values");
	REFUSED(message->n_sample_type, types - 2, "sample types");
	REFUSED(message->n_sample_type, 0, "sample types");
	REFUSED(sample->n_value, 5, "values");
	REFUSED(sample->value[3], -1, "values");
	REFUSED(sample->value[4], INT64_MIN, "values");
	REFUSED(sample->value[4], INT64_MAX, "too large");
	REFUSED(sample->value[5], INT64_MIN, "values");
	REFUSED(sample->value[5], INT64_MIN + 1, "too large");
	REFUSED(length->num, 0, "length");
	REFUSED(length->num, 1, "length");
	REFUSED(length->num, 3, "length");
	REFUSED(length->num, -2, "length");
	REFUSED(length->num, INT64_MIN, "length");
	REFUSED(longest->num, -1, "length");
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

static void test_dangling_modules(void **state)
{
	struct profile *profile = made_mixed();
	Pprof__Profile *message = unpacked(profile);
	int64_t none = (int64_t)message->n_string_table;
	Pprof__Location *native = NULL, *python = message->location[0], extra;
	Pprof__Location **locations = message->location, *grown[64];
	size_t at;

	for (at = 0; at < message->n_location; at++)
		if (message->location[at]->mapping_id == 2)
			native = message->location[at];
	assert_non_null(native);
	REFUSED(message->mapping[0]->build_id, none, "string that it does not have");
	REFUSED(message->mapping[0]->build_id, -1, "string that it does not have");
	REFUSED(message->mapping[6]->filename, INT64_MIN, "string that it does not have");
	/* One more location of a function, that says something else of it. */
	assert_true(message->n_location < 64);
	memcpy(grown, locations, message->n_location * sizeof(*grown));
	message->location = grown;
	grown[message->n_location] = &extra;
	extra = *native;
	extra.id = ++message->n_location;
	REFUSED(extra.mapping_id, 1, "a function is in two files");
	REFUSED(extra.mapping_id, 7, "a function is of two kinds");
	REFUSED(extra.mapping_id, 0, "a function is in two files");
	extra = *python;
	extra.id = message->n_location;
	REFUSED(extra.address, 5, "a function is of two kinds");
	message->location = locations;
	message->n_location--;
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

/* Puts another text in the place of the one that starts so. */
static void replace(Pprof__Profile *message, const char *start, const char *with)
{
	size_t at;

	for (at = 0; at < message->n_string_table; at++) {
		if (strncmp(message->string_table[at], start, strlen(start)) != 0)
			continue;
		free(message->string_table[at]);
		message->string_table[at] = strdup(with);
		return;
	}
	fail_msg("no string starts with %s", start);
}

/* A recording with one comment replaced must be refused for the reason. */
static void refuse_comment(struct profile *profile, const char *start, const char *with,
			   const char *expected)
{
	Pprof__Profile *message = unpacked(profile);
	const char *reason;

	replace(message, start, with);
	reason = refusal(message);
	if (!strstr(reason, expected))
		fail_msg("`%s` instead of `%s` is refused with `%s`", with, start, reason);
	pprof__profile__free_unpacked(message, NULL);
}

static void test_reason_comments(void **state)
{
#define PROCESS "process: {\"pid\":100,\"command\":\"shop.py\",\"python\":\"\",\"gc\":"
#define REPEAT(process, caller, calls, sends, most)                                               \
	"repeat: {\"process\":" process ",\"caller\":" caller ",\"line\":33,\"function\":[\"f\"," \
	"\"\",1],\"target\":\"t\",\"calls\":" calls ",\"sends\":" sends ",\"most\":" most "}"
	static const char *const processes[] = {
		PROCESS "[]}",
		PROCESS "{\"by\":\"magic\",\"collections\":[1,1,1],\"ns\":1,\"longest_ns\":1}}",
		PROCESS "{\"by\":\"usdt\",\"collections\":[1,1],\"ns\":1,\"longest_ns\":1}}",
		PROCESS "{\"by\":\"usdt\",\"collections\":[1,-1,1],\"ns\":1,\"longest_ns\":1}}",
		PROCESS "{\"by\":\"usdt\",\"collections\":[1,1,1],\"ns\":-1,\"longest_ns\":1}}",
		PROCESS "{\"by\":\"usdt\",\"collections\":[1,1,1],\"ns\":1}}",
		PROCESS "{\"by\":\"sampled\",\"collections\":[1,1,1],\"ns\":1,\"longest_ns\":0,"
			"\"counted\":1}}",
	};
	static const char *const repeats[] = {
		"repeat: {}",
		"repeat: 7",
		REPEAT("1", "[\"f\",\"\",1]", "1", "9", "9"), /* there is no such process */
		REPEAT("-1", "[\"f\",\"\",1]", "1", "9", "9"),
		REPEAT("0", "[\"f\",\"\"]", "1", "9", "9"),
		REPEAT("0", "[\"f\",\"\",1,1]", "1", "9", "9"),
		REPEAT("0", "[\"f\",\"\",3000000000]", "1", "9", "9"),
		REPEAT("0", "\"f\"", "1", "9", "9"),
		REPEAT("0", "[\"f\",\"\",1]", "-1", "9", "9"),
		REPEAT("0", "[\"f\",\"\",1]", "1", "9", "10"),
		REPEAT("0", "[\"f\",\"\",1]", "1", "9", "-1"),
		REPEAT("0", "[\"f\",\"\",1]", "1", "9223372036854775807", "1"),
	};
	struct profile *profile = made_shop();
	size_t at;

	for (at = 0; at < sizeof(processes) / sizeof(processes[0]); at++)
		refuse_comment(profile, "process: ", processes[at], "makes no sense");
	for (at = 0; at < sizeof(repeats) / sizeof(repeats[0]); at++)
		refuse_comment(profile, "repeat: ", repeats[at], "makes no sense");
	refuse_comment(profile, "process: ", "no process here", "makes no sense");
	made_process(profile, 7, "other");
	profile->processes[0].gc.ns = profile->processes[1].gc.ns = INT64_MAX;
	profile->processes[1].gc.source = GC_UPROBE;
	refuse_comment(profile, "host: ", "host: another", "too large");
	profile_free(profile);
#undef PROCESS
#undef REPEAT
}

static void test_comments(void **state)
{
	static const struct {
		const char *start, *with, *reason;
	} cases[] = {
		{"pyebpf recording: ", "pyebpf recording: 4", "newer pyebpf"},
		{"pyebpf recording: ", "pyebpf recording: x", "makes no sense"},
		{"pyebpf recording: ", "pyebpf recording: 99999999999999999999", "makes no sense"},
		{"pyebpf recording: ", "made by another", "pyebpf did not record it"},
		{"rate_hz: ", "rate_hz: 0", "sampling rate"},
		{"rate_hz: ", "rate_hz: -1", "makes no sense"},
		{"rate_hz: ", "unknown: 1", "sampling rate"},
		{"lost ring_full", "lost never_heard_of: 1", "makes no sense"},
		{"lost ring_full", "lost ring_full: 1x", "makes no sense"},
		{"process: ", "process: {}", "makes no sense"},
		{"process: ", "process: {\"pid\":-1,\"command\":\"\",\"python\":\"\"}",
		 "makes no sense"},
		{"process: ", "process: [[[[", "makes no sense"},
		{"process: ", "no process here", "makes no sense"}, /* its threads' process */
		{"thread: ",
		 "thread: {\"process\":0,\"tid\":1,\"name\":\"\",\"start_ns\":5,\"end_ns\":4,"
		 "\"states\":{}}",
		 "makes no sense"},
		{"thread: ",
		 "thread: {\"process\":0,\"tid\":1,\"name\":\"\",\"start_ns\":0,\"end_ns\":4,"
		 "\"states\":{\"dancing\":[1,1]}}",
		 "makes no sense"},
		{"thread: ",
		 "thread: {\"process\":0,\"tid\":1,\"name\":\"\",\"start_ns\":0,\"end_ns\":4,"
		 "\"states\":{\"lock\":[9223372036854775807,1]}}",
		 "too large"},
		{"running", "dancing", "state"},
		{"list_orders", "\xff", "UTF-8"},
	};
	struct profile *profile = made_worker();
	Pprof__Profile *message;
	const char *reason;
	size_t at;

	for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
		message = unpacked(profile);
		replace(message, cases[at].start, cases[at].with);
		reason = refusal(message);
		if (!strstr(reason, cases[at].reason))
			fail_msg("`%s` instead of `%s` is refused with `%s`", cases[at].with,
				 cases[at].start, reason);
		pprof__profile__free_unpacked(message, NULL);
	}
	message = unpacked(profile);
	message->n_comment = 0;
	assert_non_null(strstr(refusal(message), "pyebpf did not record it"));
	message->n_comment = 1;
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

/*
 * Recordings of format 1: mappings without build-ids, and one without a name for what was in no
 * file, at address 0.
 */
static void test_old_format(void **state)
{
	struct profile *profile = made_mixed(), *again = NULL;
	Pprof__Profile *message = unpacked(profile);
	Pprof__Mapping **mappings = message->mapping, *grown[8], unnamed = PPROF__MAPPING__INIT;
	size_t at, size, types = message->n_sample_type;
	uint32_t notices = 0, in_a_file = 0;
	uint8_t *data;

	replace(message, "pyebpf recording: ", "pyebpf recording: 1");
	message->n_sample_type = 3;
	for (at = 0; at < message->n_sample; at++)
		message->sample[at]->n_value = 3;
	unnamed.id = 8;
	memcpy(grown, mappings, 7 * sizeof(*grown));
	grown[7] = &unnamed;
	for (at = 0; at < 7; at++) {
		grown[at]->build_id = 0;
		grown[at]->file_offset = 0;
	}
	for (at = 0; at < message->n_location; at++)
		if (!message->location[at]->mapping_id && message->location[at]->address) {
			message->location[at]->mapping_id = 8;
			message->location[at]->address = 0;
		}
	message->mapping = grown;
	message->n_mapping = 8;
	size = pprof__profile__get_packed_size(message);
	data = malloc(size);
	assert_non_null(data);
	pprof__profile__pack(message, data);
	assert_int_equal(pprof_parse(data, size, &again, NULL), 0);
	assert_int_equal(again->sample_count, profile->sample_count);
	for (at = 0; at < again->function_count; at++) {
		notices += profile_is_notice(again, (uint32_t)at);
		in_a_file += again->functions[at].module != 0;
	}
	assert_int_equal(notices, 3);
	assert_int_equal(in_a_file, 6); /* the two files of one path cannot be told apart */
	assert_int_equal(again->module_count, 6);
	for (at = 0; at < again->location_count; at++)
		if (!again->functions[again->locations[at].function].module &&
		    again->functions[again->locations[at].function].kind == KIND_NATIVE)
			assert_int_equal(again->locations[at].address, 0);
	profile_free(again);
	free(data);
	message->mapping = mappings;
	message->n_mapping = 7;
	message->n_sample_type = types;
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

static void refuse_file(const void *data, size_t size, int code, const char *reason)
{
	struct profile *profile = NULL;
	struct error error = {""};
	char path[32];

	temporary(path);
	write_file(path, data, size);
	assert_int_equal(pprof_read(path, &profile, &error), code);
	assert_null(profile);
	assert_non_null(strstr(error.text, path));
	if (!strstr(error.text, reason))
		fail_msg("`%s` should say `%s`", error.text, reason);
	unlink(path);
}

static void test_bad_files(void **state)
{
	static const char text[] = "this is not a recording\n";
	struct profile *profile = made_worker(), *none = NULL;
	struct error error;
	char *data;
	size_t size = written(profile, &data), cut;

	refuse_file("", 0, -EINVAL, "empty");
	refuse_file(text, sizeof(text) - 1, -EINVAL, "not gzip data");
	for (cut = 20; cut < size; cut += 37)
		refuse_file(data, cut, -EINVAL, "cut short");
	refuse_file(data, size - 1, -EINVAL, "cut short");
	data[size / 2] ^= 0x55;
	refuse_file(data, size, -EINVAL, "damaged");
	assert_int_equal(pprof_read("/nonexistent/x.pb.gz", &none, &error), -ENOENT);
	assert_string_equal(error.text,
			    "cannot read /nonexistent/x.pb.gz: No such file or directory");
	assert_int_equal(pprof_read("/tmp", &none, &error), -EISDIR);
	assert_null(none);
	free(data);
	profile_free(profile);
}

/* Every single-byte change and every cut of a recording is read or refused, never a crash. */
static void change_bytes(struct profile *profile)
{
	struct profile *again;
	Pprof__Profile *message = unpacked(profile);
	size_t size = pprof__profile__get_packed_size(message), at;
	uint8_t *data = malloc(size), *copy;
	int refused = 0;

	assert_non_null(data);
	pprof__profile__pack(message, data);
	for (at = 0; at < size; at++) {
		again = NULL;
		data[at] ^= 0x81;
		if (pprof_parse(data, size, &again, NULL))
			refused++;
		profile_free(again);
		data[at] ^= 0x81;
	}
	assert_true(refused > 0);
	for (at = 0; at < size; at += 5) {
		copy = malloc(at + 1); /* so that reading beyond the end is noticed */
		assert_non_null(copy);
		memcpy(copy, data, at);
		again = NULL;
		pprof_parse(copy, at, &again, NULL);
		profile_free(again);
		free(copy);
	}
	free(data);
	pprof__profile__free_unpacked(message, NULL);
	profile_free(profile);
}

static void test_changed_bytes(void **state)
{
	change_bytes(made_worker());
	change_bytes(made_mixed());
	change_bytes(made_shop());
}

static void test_write_errors(void **state)
{
	struct profile *profile = made_worker();
	FILE *full = fopen("/dev/full", "w");
	struct error error = {""};

	assert_non_null(full);
	assert_int_equal(pprof_write(profile, full, &error), -ENOSPC);
	assert_string_equal(error.text, "cannot write the recording: No space left on device");
	fclose(full);
	profile_free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_round_trip_mixed),
		cmocka_unit_test(test_round_trip_reasons),
		cmocka_unit_test(test_round_trip_empty),
		cmocka_unit_test(test_round_trip_same_process_twice),
		cmocka_unit_test(test_round_trip_odd_names),
		cmocka_unit_test(test_pprof_rules),
		cmocka_unit_test(test_pprof_mappings),
		cmocka_unit_test(test_dangling),
		cmocka_unit_test(test_pprof_reasons),
		cmocka_unit_test(test_dangling_modules),
		cmocka_unit_test(test_dangling_reasons),
		cmocka_unit_test(test_reason_comments),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_old_format),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_changed_bytes),
		cmocka_unit_test(test_write_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
