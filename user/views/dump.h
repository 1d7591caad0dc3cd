/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns how a dump is shown: to a person in py-spy's layout, to a script as JSON. Leaves taking it
 * to live/dump.h.
 */
#ifndef PYEBPF_VIEW_DUMP_H
#define PYEBPF_VIEW_DUMP_H

#include <stdbool.h>
#include <stdio.h>

#include "live/dump.h"

struct dump_options {
	bool native; /* show native and kernel frames too */
	bool colour;
};

/* Both return 0, or -errno of memory or the stream. */
int view_dump(const struct dump *dump, const struct dump_options *options, FILE *stream);
int view_dump_json(const struct dump *dump, const struct dump_options *options, FILE *stream);

/* Whether a frame is shown: one of Python, or one that says what is missing, or all. */
bool dump_shows(const struct dump *dump, const struct dump_options *options, uint32_t location);

/* "active", "active+gil", "idle" or "idle+gil": py-spy's words, and one that it has not. */
const char *dump_activity(const struct dump_thread *thread);

/* "GIL", "RLock", "C mutex"; of LOCK_NONE "". */
const char *lock_kind_name(enum lock_kind kind);

#endif
