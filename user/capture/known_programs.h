/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the programs that followed processes have run and that are interpreters themselves: what the
 * next process that runs one begins with, here and on the kernel side.
 */
#ifndef PYEBPF_KNOWN_PROGRAMS_H
#define PYEBPF_KNOWN_PROGRAMS_H

#include <stdint.h>

#include "capture/collections.h"
#include "capture/session.h"
#include "config.h"
#include "record.h"

struct known_programs;

struct known_program {
	struct program_config config;
	uint32_t python; /* string of the profile */
	struct collection_watch collections;
};

/* The session must outlive them. NULL: no memory. */
struct known_programs *known_programs_new(struct session *session);
void known_programs_free(struct known_programs *programs);

/* NULL: not known. Valid as long as the programs. */
const struct known_program *known_programs_find(const struct known_programs *programs,
						const struct program_key *key);

/* Remembers a program, if it is not known, and tells the kernel side. Returns 0 or -errno. */
int known_programs_add(struct known_programs *programs, const struct program_key *key,
		       const struct known_program *program);

#endif
