/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the reading of samples: their labels, stacks and values. */
#include "profile/pprof_reader.h"

#include <errno.h>
#include <inttypes.h>

#include "pprof.pb-c.h"
#include "profile/names.h"
#include "profile/pprof.h"
#include "profile/pprof_words.h"

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
			return reader_no_memory(reader);
		if (added)
			result = reader_add(reader, &reader->first_processes, &at, sizeof(at));
	}
	return result;
}

/* What the labels of a sample say. Numbers are -1 and strings 0 where there is no label. */
struct label_values {
	int64_t pid, tid, process_index, wait_below, longest;
	uint32_t process, thread, state, leaf, syscall, target, gil_holder, waker;
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
		{WORD_WAIT_BELOW, &values->wait_below, NULL},
		{WORD_LONGEST, &values->longest, NULL},
		{WORD_PROCESS, NULL, &values->process},
		{WORD_THREAD, NULL, &values->thread},
		{WORD_STATE, NULL, &values->state},
		{WORD_LEAF, NULL, &values->leaf},
		{WORD_SYSCALL, NULL, &values->syscall},
		{WORD_TARGET, NULL, &values->target},
		{WORD_GIL_HOLDER, NULL, &values->gil_holder},
		{WORD_WAKER, NULL, &values->waker},
	};
	bool same;
	size_t at;
	int result;

	for (at = 0; at < sizeof(places) / sizeof(places[0]); at++) {
		result = reader_string_is(reader, label->key, word_text(places[at].word), &same);
		if (result)
			return result;
		if (!same)
			continue;
		if (places[at].text)
			return reader_string(reader, label->str, places[at].text);
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
			return reader_damaged(reader, "a sample's process is not there");
		*process = (uint32_t)values->process_index;
		return 0;
	}
	if (values->pid < 0 || values->pid > UINT32_MAX)
		return reader_damaged(reader, "a sample has no process");
	added = table_intern(&reader->processes, key, sizeof(key), &id, NULL);
	if (added < 0)
		return reader_no_memory(reader);
	if (added || id >= count)
		return reader_damaged(reader, "a sample's process is not there");
	*process = first[id];
	return 0;
}

/* The exponent of a power of two, from 2 on; 0 of -1, which is no label; -1 of what else there is. */
static int wait_length(int64_t limit)
{
	int length = 1;

	if (limit == -1)
		return 0;
	while (length <= PROFILE_LENGTH_MAX && INT64_C(1) << length != limit)
		length++;
	return length <= PROFILE_LENGTH_MAX ? length : -1;
}

/* Stores the key, and the longest of the sample's waits, which is a label too. */
static int sample_key(struct reader *reader, const Pprof__Sample *sample, struct profile_key *key,
		      int64_t *longest)
{
	struct label_values values = {-1, -1, -1, .wait_below = -1};
	char **strings;
	int result = 0, state, length, leaf = LEAF_PYTHON;
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
		return reader_damaged(reader, "a sample's thread, state or leaf makes no sense");
	length = wait_length(values.wait_below);
	if (length < 0 || values.longest < 0)
		return reader_damaged(reader, "the length of a sample's waits makes no sense");
	key->tid = (uint32_t)values.tid;
	key->thread = values.thread;
	key->state = (uint32_t)state;
	key->leaf = state == STATE_RUNNING ? (uint32_t)leaf : LEAF_PYTHON;
	key->syscall = values.syscall;
	key->target = values.target;
	key->gil_holder = values.gil_holder;
	key->waker = values.waker;
	key->length = (uint32_t)length;
	*longest = values.longest;
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
			return reader_damaged(reader,
					      "a sample names a location that is not there");
		result = reader_add(reader, &reader->stack, &locations[sample->location_id[at] - 1],
				    sizeof(*locations));
	}
	if (result)
		return result;
	if (profile_stack(reader->profile, reader->stack.items, reader->stack.count, stack))
		return reader_no_memory(reader);
	return 0;
}

/* Adds a sample's values, unless their sum over all samples would overflow. */
static int sample_values(struct reader *reader, const Pprof__Sample *sample, uint32_t index)
{
	struct profile_sample *it = &reader->profile->samples[index];
	bool running = it->key.state == STATE_RUNNING;
	int64_t value[PPROF_VALUES] = {0}, size;
	uint32_t at;

	if (sample->n_value != reader->values || sample->value[running ? PPROF_WAIT : PPROF_CPU])
		return reader_damaged(reader, "a sample's values make no sense");
	for (at = 0; at < reader->values; at++) {
		value[at] = sample->value[at];
		if (value[at] == INT64_MIN || (value[at] < 0 && at != PPROF_GROWN))
			return reader_damaged(reader, "a sample's values make no sense");
		size = value[at] < 0 ? -value[at] : value[at];
		if (__builtin_add_overflow(reader->sums[at], size, &reader->sums[at]))
			return reader_damaged(reader, "its times are too large");
	}
	it->ns += value[running ? PPROF_CPU : PPROF_WAIT];
	it->waits += value[PPROF_WAITS];
	it->sends += value[PPROF_SENDS];
	it->receives += value[PPROF_RECEIVES];
	it->grown_bytes += value[PPROF_GROWN];
	return 0;
}

static int read_sample(struct reader *reader, const struct field *field)
{
	struct profile_key key = {0};
	int64_t longest = 0;
	Pprof__Sample *sample;
	uint32_t index;
	int result;

	sample = pprof__sample__unpack(NULL, field->size, field->data);
	if (!sample)
		return reader_damaged(reader, "a sample cannot be read");
	result = sample_key(reader, sample, &key, &longest);
	if (!result)
		result = sample_stack(reader, sample, &key.stack);
	if (!result && profile_sample(reader->profile, &key, &index))
		result = reader_no_memory(reader);
	if (!result)
		result = sample_values(reader, sample, index);
	if (!result && longest > reader->profile->samples[index].longest_ns)
		reader->profile->samples[index].longest_ns = longest;
	if (!result && reader->profile->sample_count > PPROF_ITEMS_MAX)
		result = error_set(reader->error, -E2BIG,
				   "the recording has more than %" PRIu32 " samples",
				   PPROF_ITEMS_MAX);
	pprof__sample__free_unpacked(sample, NULL);
	return result;
}

int reader_samples(struct reader *reader)
{
	int result = index_processes(reader);

	return result ? result : reader_parts(reader, FIELD_SAMPLE, read_sample);
}
