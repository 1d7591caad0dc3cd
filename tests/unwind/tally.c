/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns comparing two stacks, and the counts; see tally.h. */
#include "tally.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

const char *const outcome_names[OUTCOME_COUNT] = {"equal", "alike", "shorter", "given_up",
						  "different"};

struct reason {
	char text[256];
	enum outcome outcome;
	uint64_t count;
	UT_hash_handle hh;
};

struct place {
	uint64_t key;
	UT_hash_handle hh;
};

/* Frames of the reference that are known, not guessed: a guess comes behind the first without
 * information. */
static uint32_t frames_known(const struct stack *reference)
{
	return reference->informed < reference->count ? reference->informed + 1 : reference->count;
}

static enum outcome compare_to_end(const struct stack *walked, const struct stack *reference)
{
	bool informed = reference->informed == reference->count;

	if (walked->whole)
		return reference->whole ? OUTCOME_EQUAL : OUTCOME_GIVEN_UP;
	return reference->whole && informed ? OUTCOME_SHORTER : OUTCOME_ALIKE;
}

enum outcome stacks_compare(const struct stack *walked, const struct stack *reference,
			    uint32_t *common)
{
	uint32_t known = frames_known(reference), same = 0;

	while (same < walked->count && same < reference->count &&
	       walked->words[same] == reference->words[same])
		same++;
	*common = same;
	if (same == walked->count && same == reference->count)
		return compare_to_end(walked, reference);
	if (same == walked->count && !walked->whole)
		return same < known ? OUTCOME_SHORTER : OUTCOME_ALIKE;
	if (same >= known && !(reference->whole && reference->informed == reference->count))
		return OUTCOME_GIVEN_UP;
	return OUTCOME_DIFFERENT;
}

static uint64_t words_hash(const struct stack *stack)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a, by words */

	for (uint32_t i = 0; i < stack->count; i++)
		hash = (hash ^ stack->words[i]) * 0x100000001b3ULL;
	return hash;
}

static int place_add(struct place **places, uint64_t key)
{
	struct place *place;

	HASH_FIND(hh, *places, &key, sizeof(key), place);
	if (place)
		return 0;
	place = calloc(1, sizeof(*place));
	if (!place)
		return -ENOMEM;
	place->key = key;
	HASH_ADD(hh, *places, key, sizeof(place->key), place);
	return 0;
}

static void places_free(struct place **places)
{
	struct place *place, *next;

	HASH_ITER (hh, *places, place, next) {
		HASH_DEL(*places, place);
		free(place);
	}
}

int tally_add(struct tally *tally, enum outcome outcome, const struct stack *walked,
	      const struct stack *reference)
{
	tally->outcomes[outcome]++;
	tally->places++;
	tally->frames += reference->count;
	tally->in_syscalls += walked->syscall >= 0;
	if (place_add(&tally->addresses, reference->words[0]))
		return -ENOMEM;
	return place_add(&tally->stacks, words_hash(reference));
}

int tally_add_reason(struct tally *tally, enum outcome outcome, const char *where, const char *why)
{
	struct reason *reason;
	char text[256];

	snprintf(text, sizeof(text), "%s: %.160s: %.60s", outcome_names[outcome], where, why);
	HASH_FIND_STR(tally->reasons, text, reason);
	if (!reason) {
		reason = calloc(1, sizeof(*reason));
		if (!reason)
			return -ENOMEM;
		snprintf(reason->text, sizeof(reason->text), "%s", text);
		reason->outcome = outcome;
		HASH_ADD_STR(tally->reasons, text, reason);
	}
	reason->count++;
	return 0;
}

json_t *tally_json(const struct tally *tally)
{
	json_t *reasons = json_object(), *result;
	const struct reason *reason;

	for (reason = tally->reasons; reason; reason = reason->hh.next)
		json_object_set_new(reasons, reason->text, json_integer((json_int_t)reason->count));
	result = json_pack("{sI sI sI sI sI sI so}", "places", (json_int_t)tally->places, "frames",
			   (json_int_t)tally->frames, "in_syscalls", (json_int_t)tally->in_syscalls,
			   "stepped", (json_int_t)tally->stepped, "stacks",
			   (json_int_t)HASH_COUNT(tally->stacks), "addresses",
			   (json_int_t)HASH_COUNT(tally->addresses), "reasons", reasons);
	for (int i = 0; result && i < OUTCOME_COUNT; i++)
		json_object_set_new(result, outcome_names[i],
				    json_integer((json_int_t)tally->outcomes[i]));
	return result;
}

void tally_free(struct tally *tally)
{
	struct reason *reason, *next;

	HASH_ITER (hh, tally->reasons, reason, next) {
		HASH_DEL(tally->reasons, reason);
		free(reason);
	}
	places_free(&tally->stacks);
	places_free(&tally->addresses);
}
