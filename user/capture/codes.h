/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the code objects that the kernel has told of, and turns a frame into a location of the
 * profile. Leaves the line tables' formats to python/lines.h.
 */
#ifndef PYEBPF_CODES_H
#define PYEBPF_CODES_H

#include <stdint.h>

#include "profile/profile.h"
#include "record.h"

struct codes;

/* `lost` are the counters to add to; both it and the profile must outlive the codes. */
struct codes *codes_new(struct profile *profile, uint64_t lost[LOSS_COUNT]);
void codes_free(struct codes *codes);

/* Says how the line tables of a process (struct record.process) are to be read. 0 or -ENOMEM. */
int codes_add_process(struct codes *codes, uint32_t process, uint32_t line_format);

/* Forgets a process, of which nothing will be asked any more. */
void codes_remove_process(struct codes *codes, uint32_t process);

/* Take a record; `bytes` is what was received. Return 0, -EINVAL: not a valid one, or -ENOMEM. */
int codes_add_lines(struct codes *codes, const struct lines_record *record, size_t bytes);
int codes_add(struct codes *codes, const struct code_record *record, size_t bytes);

/* Finds the location of a frame; one without a name becomes `[unnamed]`. 0 or -ENOMEM. */
int codes_locate(struct codes *codes, uint32_t process, const struct python_frame *frame,
		 uint32_t *location);

#endif
