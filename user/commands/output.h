/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the file that a recording is written to: that it can be written is known before the
 * recording begins, what it held stays until the recording is there, and a full disk loses nothing.
 */
#ifndef PYEBPF_OUTPUT_H
#define PYEBPF_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct output {
	char *path; /* as given */
	int descriptor;
	bool created; /* the file was not there before */
};

/* Opens or makes the file. -errno with a sentence: it cannot be written. */
int output_open(const char *path, struct output *output, struct error *error);

/*
 * Writes all. If the file's disk has no room, or it fails otherwise, the bytes go to another
 * directory and *error says so and where: the result is -errno even then.
 */
int output_write(struct output *output, const void *bytes, size_t size, struct error *error);

/* Closes it; a file that was made and never written is removed. */
void output_close(struct output *output);

#endif
