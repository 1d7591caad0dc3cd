/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the table of who had the GIL, a part of struct waits. */
#ifndef PYEBPF_HOLDERS_H
#define PYEBPF_HOLDERS_H

#include "profile/waits.h"

/* Fills in waits->holders. Returns 0 or -ENOMEM. */
int holders_make(const struct profile *profile, const bool *active, struct waits *waits);

/*
 * Takes a label of a sample apart, that names a function or a thread as struct profile_key says:
 * stores the lengths of name and file and the line, 0 of a thread. The file begins after " (".
 */
void label_split(const char *label, size_t *name, size_t *file, int32_t *line);

#endif
