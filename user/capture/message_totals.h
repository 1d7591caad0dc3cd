/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns making sampled messages add up to what the threads have exchanged: the kernel counts all
 * messages of a thread, and samples some of them for the functions that they are of.
 */
#ifndef PYEBPF_MESSAGE_TOTALS_H
#define PYEBPF_MESSAGE_TOTALS_H

#include "profile/profile.h"

/*
 * Scales, process by process, the samples' and repeats' messages to the numbers in
 * profile->threads. What no sample tells of stays away. Returns 0 or -ENOMEM.
 */
int message_totals_fit(struct profile *profile);

#endif
