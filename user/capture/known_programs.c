/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the programs that have been run before; see known_programs.h. */
#include "capture/known_programs.h"

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>

struct entry {
	struct program_key key;
	struct known_program program;
	UT_hash_handle hh;
};

struct known_programs {
	struct session *session;
	struct entry *entries;
};

struct known_programs *known_programs_new(struct session *session)
{
	struct known_programs *programs = calloc(1, sizeof(*programs));

	if (programs)
		programs->session = session;
	return programs;
}

void known_programs_free(struct known_programs *programs)
{
	struct entry *entry, *next;

	if (!programs)
		return;
	HASH_ITER (hh, programs->entries, entry, next) {
		HASH_DEL(programs->entries, entry);
		free(entry);
	}
	free(programs);
}

const struct known_program *known_programs_find(const struct known_programs *programs,
						const struct program_key *key)
{
	struct entry *entry;

	HASH_FIND(hh, programs->entries, key, sizeof(*key), entry);
	return entry ? &entry->program : NULL;
}

int known_programs_add(struct known_programs *programs, const struct program_key *key,
		       const struct known_program *program)
{
	struct entry *entry;

	if (known_programs_find(programs, key))
		return 0;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->key = *key;
	entry->program = *program;
	HASH_ADD(hh, programs->entries, key, sizeof(entry->key), entry);
	return session_set_program(programs->session, key, &program->config);
}
