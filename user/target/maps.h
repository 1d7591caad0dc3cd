/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the list of a process' mappings, from the text of /proc/PID/maps. Leaves opening the files
 * to user/native/elf.h.
 */
#ifndef PYEBPF_MAPS_H
#define PYEBPF_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/process.h"

struct mapping {
	uint64_t start; /* addresses: start <= address < end */
	uint64_t end;
	uint64_t offset; /* in the file, bytes */
	uint64_t inode;  /* 0: no file */
	uint32_t device_major;
	uint32_t device_minor;
	bool readable, writable, executable, shared;
	bool deleted;     /* the file has no name any more; " (deleted)" is not part of `path` */
	const char *path; /* as the process sees it, "[heap]" and the like, or ""; never NULL */
};

struct maps {
	struct mapping *entries; /* by ascending address, not overlapping */
	size_t count;
	char *text; /* holds the paths */
};

/*
 * Parses `size` bytes of the text of a maps file. On success *maps owns memory, to be released by
 * maps_free(). Errors: -EINVAL a line that no kernel writes (bad fields, end before start,
 * addresses that go back, NUL byte), -ENOMEM.
 */
int maps_parse(const char *text, size_t size, struct maps *maps);

/*
 * Reads and parses those of a process. Errors: those above, -ESRCH gone or without memory,
 * -EACCES no right to read them.
 */
int maps_read(const struct process *process, struct maps *maps);

/* Releases what the two above got. A zeroed struct is left alone. */
void maps_free(struct maps *maps);

/* The mapping that holds `address`, or NULL. */
const struct mapping *maps_find(const struct maps *maps, uint64_t address);

/* Whether both map the same file. */
bool mapping_same_file(const struct mapping *one, const struct mapping *other);

#endif
