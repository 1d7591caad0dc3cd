/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what went wrong with processes while they were recorded, to be told once each: the same of
 * many processes is one line.
 */
#ifndef PYEBPF_NOTICES_H
#define PYEBPF_NOTICES_H

#include <sys/types.h>

struct notices;

struct notices *notices_new(void); /* NULL: no memory */
void notices_free(struct notices *notices);

/* Adds that `text` holds of a process. Without memory it is lost. */
void notices_add(struct notices *notices, pid_t pid, const char *text);

/*
 * One line each, ending in a newline: `process 42: TEXT`, `process 42 and 3 others: TEXT`. ""
 * without any. Valid until the next call with the same notices.
 */
const char *notices_text(struct notices *notices);

#endif
