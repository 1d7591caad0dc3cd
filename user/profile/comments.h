/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the part of a recording for which pprof has no fields, as comments of the form
 * `key: value`: first the format with its version, then the facts, the losses (all of them, also
 * the zeroes), the processes in order, with their containers and garbage collections, the threads'
 * exact ledgers, and who exchanges many messages in one call of another, these as JSON objects.
 */
#ifndef PYEBPF_COMMENTS_H
#define PYEBPF_COMMENTS_H

#include "error.h"
#include "profile/profile.h"

/*
 * 2: native frames, with their modules; locations without a mapping can be native.
 * 3: samples have messages, the lengths of waits, who woke a thread and how memory has grown;
 * processes have garbage collections; repeats.
 */
#define COMMENTS_FORMAT_VERSION 3

struct comments {
	char **lines;
	uint32_t count;
};

/* Stores the lines, to be freed by comments_free(). Returns 0 or -ENOMEM. */
int comments_make(const struct profile *profile, struct comments *comments);
void comments_free(struct comments *comments);

/* Says whether the first comment of a file is pyebpf's (0), or why not (-EINVAL, *error set). */
int comments_check_format(const char *first, struct error *error);

/*
 * Puts what one further line says into the profile. Keys that are not known are passed over.
 * Returns 0, or -EINVAL or -ENOMEM with *error set.
 */
int comments_read_line(struct profile *profile, const char *line, struct error *error);

/*
 * The same for the lines that name functions, which should be there already. It passes over all
 * other lines, and comments_read_line() over these.
 */
int comments_read_repeat(struct profile *profile, const char *line, struct error *error);

#endif
