/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the scaling of samples, see estimate.h. */
#include "profile/estimate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* Of one sample of the profile, at the same index. */
struct estimate {
	double exact_ns;
	double exact_waits;
	double sampled_ns;
	double sampled_waits;
	uint32_t samples; /* that sampled_ns is made of */
};

/* What is known of a thread's, or of a group of threads', time in a state. */
struct balance_key {
	uint32_t process;
	uint32_t tid; /* POOL: all threads of the process that have few samples */
	uint32_t state;
};
#define POOL UINT32_MAX

struct balance {
	struct balance_key key;
	double ledger_ns;
	double ledger_waits;
	bool has_ledger;
	struct estimate sum;
	uint32_t thread; /* string: of a thread's balance, its name */
	UT_hash_handle hh;
};

struct estimates {
	struct profile *profile;
	struct estimate *all;
	uint32_t room;
	struct balance *balances;
};

struct estimates *estimates_new(struct profile *profile)
{
	struct estimates *estimates = calloc(1, sizeof(*estimates));

	if (estimates)
		estimates->profile = profile;
	return estimates;
}

static void balances_free(struct estimates *estimates)
{
	struct balance *balance, *next;

	HASH_ITER (hh, estimates->balances, balance, next) {
		HASH_DEL(estimates->balances, balance);
		free(balance);
	}
}

void estimates_free(struct estimates *estimates)
{
	if (!estimates)
		return;
	balances_free(estimates);
	free(estimates->all);
	free(estimates);
}

static int estimate_find(struct estimates *estimates, const struct profile_key *key,
			 struct estimate **estimate)
{
	uint32_t id;
	int error = profile_sample(estimates->profile, key, &id);

	if (error)
		return error;
	if (id >= estimates->room) {
		uint32_t room = id < 1024 ? 2048 : 2 * id;
		struct estimate *grown = realloc(estimates->all, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		memset(grown + estimates->room, 0, (room - estimates->room) * sizeof(*grown));
		estimates->all = grown;
		estimates->room = room;
	}
	*estimate = &estimates->all[id];
	return 0;
}

int estimates_add_exact(struct estimates *estimates, const struct profile_key *key, uint64_t ns,
			uint64_t waits)
{
	struct estimate *estimate;
	int error = estimate_find(estimates, key, &estimate);

	if (error)
		return error;
	estimate->exact_ns += ns;
	estimate->exact_waits += waits;
	return 0;
}

int estimates_add_sampled(struct estimates *estimates, const struct profile_key *key, uint64_t ns,
			  double waits)
{
	struct estimate *estimate;
	int error = estimate_find(estimates, key, &estimate);

	if (error)
		return error;
	estimate->sampled_ns += ns;
	estimate->sampled_waits += waits;
	estimate->samples++;
	return 0;
}

int estimates_find_sample(struct estimates *estimates, const struct profile_key *key,
			  struct profile_sample **sample)
{
	struct estimate *estimate;
	int error = estimate_find(estimates, key, &estimate);

	if (!error)
		*sample = &estimates->profile->samples[estimate - estimates->all];
	return error;
}

static struct balance *balance_find(struct estimates *estimates, uint32_t process, uint32_t tid,
				    uint32_t state)
{
	struct balance_key key;
	struct balance *balance;

	memset(&key, 0, sizeof(key));
	key.process = process;
	key.tid = tid;
	key.state = state;
	HASH_FIND(hh, estimates->balances, &key, sizeof(key), balance);
	if (balance)
		return balance;
	balance = calloc(1, sizeof(*balance));
	if (!balance)
		return NULL;
	balance->key = key;
	HASH_ADD(hh, estimates->balances, key, sizeof(balance->key), balance);
	return balance;
}

static void estimate_sum(struct estimate *sum, const struct estimate *part)
{
	sum->exact_ns += part->exact_ns;
	sum->exact_waits += part->exact_waits;
	sum->sampled_ns += part->sampled_ns;
	sum->sampled_waits += part->sampled_waits;
	sum->samples += part->samples;
}

static int balances_add_ledgers(struct estimates *estimates)
{
	const struct profile *profile = estimates->profile;
	uint32_t i, state;

	for (i = 0; i < profile->thread_count; i++) {
		const struct profile_thread *thread = &profile->threads[i];

		for (state = 0; state < STATE_COUNT; state++) {
			struct balance *balance =
				balance_find(estimates, thread->process, thread->tid, state);

			if (!balance)
				return -ENOMEM;
			balance->ledger_ns += thread->ns[state];
			balance->ledger_waits += thread->waits[state];
			balance->thread = thread->name;
			balance->has_ledger = true;
		}
	}
	return 0;
}

static int balances_add_samples(struct estimates *estimates)
{
	const struct profile *profile = estimates->profile;
	uint32_t i;

	for (i = 0; i < profile->sample_count; i++) {
		const struct profile_key *key = &profile->samples[i].key;
		struct balance *balance =
			balance_find(estimates, key->process, key->tid, key->state);

		if (!balance)
			return -ENOMEM;
		estimate_sum(&balance->sum, &estimates->all[i]);
	}
	return 0;
}

static bool balance_stands_alone(const struct balance *balance)
{
	return !balance->has_ledger || balance->sum.samples >= ESTIMATE_SAMPLES_MIN;
}

/* Collects what the threads with few samples have, under the tid POOL. */
static int balances_pool(struct estimates *estimates)
{
	struct balance *balance, *next, *pool;

	HASH_ITER (hh, estimates->balances, balance, next) {
		if (balance->key.tid == POOL || balance_stands_alone(balance))
			continue;
		pool = balance_find(estimates, balance->key.process, POOL, balance->key.state);
		if (!pool)
			return -ENOMEM;
		pool->has_ledger = true;
		pool->ledger_ns += balance->ledger_ns;
		pool->ledger_waits += balance->ledger_waits;
		estimate_sum(&pool->sum, &balance->sum);
	}
	return 0;
}

/* What to multiply sampled values with so that they fill what exact ones leave of the ledger. */
static double fill_factor(double ledger, double exact, double sampled)
{
	if (sampled <= 0)
		return 0;
	return ledger > exact ? (ledger - exact) / sampled : 0;
}

static int samples_scale(struct estimates *estimates)
{
	struct profile *profile = estimates->profile;
	uint32_t i;

	for (i = 0; i < profile->sample_count; i++) {
		const struct estimate *own = &estimates->all[i];
		struct profile_sample *sample = &profile->samples[i];
		struct balance *balance = balance_find(estimates, sample->key.process,
						       sample->key.tid, sample->key.state);
		double time = 1, waits = 1;

		if (balance && !balance_stands_alone(balance))
			balance = balance_find(estimates, sample->key.process, POOL,
					       sample->key.state);
		if (!balance)
			return -ENOMEM;
		if (balance->has_ledger) {
			time = fill_factor(balance->ledger_ns, balance->sum.exact_ns,
					   balance->sum.sampled_ns);
			waits = fill_factor(balance->ledger_waits, balance->sum.exact_waits,
					    balance->sum.sampled_waits);
		}
		sample->ns = llround(own->exact_ns + own->sampled_ns * time);
		sample->waits = llround(own->exact_waits + own->sampled_waits * waits);
	}
	return 0;
}

static int unsampled_stack(struct profile *profile, uint32_t *stack)
{
	struct profile_function function = {.kind = KIND_NATIVE};
	struct profile_location location = {0};
	uint32_t id;
	int error = profile_string(profile, "[too short to be sampled]", &function.name);

	if (!error)
		error = profile_function(profile, &function, &location.function);
	if (!error)
		error = profile_location(profile, &location, &id);
	if (!error)
		error = profile_stack(profile, &id, 1, stack);
	return error;
}

/* Gives the time of which no sample tells a sample without a stack. */
static int unsampled_add(struct estimates *estimates)
{
	struct profile *profile = estimates->profile;
	struct balance *balance, *next;

	HASH_ITER (hh, estimates->balances, balance, next) {
		struct profile_key key;
		struct balance *pool;
		uint32_t id;
		int error;

		if (balance->key.tid == POOL || !balance->has_ledger)
			continue;
		pool = balance_find(estimates, balance->key.process, POOL, balance->key.state);
		if (!pool)
			return -ENOMEM;
		if (balance->sum.sampled_ns > 0 || pool->sum.sampled_ns > 0 ||
		    balance->ledger_ns <= balance->sum.exact_ns)
			continue;
		memset(&key, 0, sizeof(key));
		key.process = balance->key.process;
		key.tid = balance->key.tid;
		key.thread = balance->thread;
		key.state = balance->key.state;
		error = unsampled_stack(profile, &key.stack);
		if (!error)
			error = profile_sample(profile, &key, &id);
		if (error)
			return error;
		profile->samples[id].ns += balance->ledger_ns - balance->sum.exact_ns;
		if (balance->ledger_waits > balance->sum.exact_waits)
			profile->samples[id].waits +=
				balance->ledger_waits - balance->sum.exact_waits;
	}
	return 0;
}

int estimates_finish(struct estimates *estimates)
{
	int error = balances_add_ledgers(estimates);

	if (!error)
		error = balances_add_samples(estimates);
	if (!error)
		error = balances_pool(estimates);
	if (!error)
		error = samples_scale(estimates);
	if (!error)
		error = unsampled_add(estimates);
	balances_free(estimates);
	return error;
}
