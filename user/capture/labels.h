/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a sample says in words beside its stack: the thread's name, what was waited for, who
 * held the GIL, who ended the wait. All become strings of the profile; each function returns 0,
 * -ENOMEM, or -EINVAL for a record that cannot be.
 */
#ifndef PYEBPF_LABELS_H
#define PYEBPF_LABELS_H

#include <stdint.h>

#include "capture/codes.h"
#include "profile/profile.h"
#include "record.h"
#include "target/listeners.h"

/* What they are made with; not owned. */
struct labels {
	struct profile *profile;
	struct codes *codes;
	struct listeners *listeners;
};

/* A thread's name, as far as the kernel keeps it. */
int label_thread(struct profile *profile, const char comm[COMM_SIZE], uint32_t *id);

/* What a sample's thread waited for, or exchanged messages with. *label is left alone: not known. */
int label_target(const struct labels *labels, const struct sample_record *sample, uint32_t *label);

/* A frame of the sample's process: `function (file:first line)`; 0: not known. */
int label_frame(const struct labels *labels, const struct sample_record *sample,
		const struct python_frame *frame, uint32_t *label);

/*
 * Who ended a wait: a Python function of the process, else a thread by its name and process; 0: not
 * known.
 */
int label_waker(const struct labels *labels, const struct sample_record *sample, uint32_t *label);

#endif
