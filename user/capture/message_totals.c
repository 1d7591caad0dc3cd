/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the scaling; see message_totals.h. */
#include "capture/message_totals.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Of a process: messages counted, and those that samples stand for. */
struct message_total {
	double sends, receives;
	double sampled_sends, sampled_receives;
};

static void totals_add(struct message_total *totals, const struct profile *profile)
{
	uint32_t i;

	for (i = 0; i < profile->thread_count; i++) {
		const struct profile_thread *thread = &profile->threads[i];

		totals[thread->process].sends += (double)thread->sends;
		totals[thread->process].receives += (double)thread->receives;
	}
	for (i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];

		totals[sample->key.process].sampled_sends += (double)sample->sends;
		totals[sample->key.process].sampled_receives += (double)sample->receives;
	}
}

static double factor(double counted, double sampled)
{
	return counted > 0 && sampled > 0 ? counted / sampled : 1;
}

/* Of calls seen whole there are as many more as of messages; each has what was seen. */
static void repeat_fit(struct profile_repeat *repeat, double by)
{
	double each;

	if (repeat->at_least)
		return;
	if (!repeat->calls) {
		repeat->sends = (uint64_t)llround((double)repeat->sends * by);
		return;
	}
	each = (double)repeat->sends / (double)repeat->calls;
	repeat->calls = (uint64_t)fmax(1, round((double)repeat->calls * by));
	repeat->sends = (uint64_t)llround((double)repeat->calls * each);
	if (repeat->sends < repeat->most)
		repeat->sends = repeat->most;
}

int message_totals_fit(struct profile *profile)
{
	struct message_total *totals = calloc(profile->process_count + 1UL, sizeof(*totals));
	uint32_t i;

	if (!totals)
		return -ENOMEM;
	totals_add(totals, profile);
	for (i = 0; i < profile->sample_count; i++) {
		struct profile_sample *sample = &profile->samples[i];
		const struct message_total *total = &totals[sample->key.process];

		sample->sends =
			llround((double)sample->sends * factor(total->sends, total->sampled_sends));
		sample->receives = llround((double)sample->receives *
					   factor(total->receives, total->sampled_receives));
	}
	for (i = 0; i < profile->repeat_count; i++) {
		const struct message_total *total = &totals[profile->repeats[i].process];

		repeat_fit(&profile->repeats[i], factor(total->sends, total->sampled_sends));
	}
	free(totals);
	return 0;
}
