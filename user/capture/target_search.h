/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns looking for the interpreter of recorded processes that have none yet: how often, for how
 * long, and what becomes of those that have none. Leaves one look to target.h.
 */
#ifndef PYEBPF_TARGET_SEARCH_H
#define PYEBPF_TARGET_SEARCH_H

#include <stdint.h>

#include "capture/target_set.h"

#define START_WAIT_MS 2000 /* for an interpreter that is being started */
#define RETRY_MS      5    /* while one is being started */

/* Looks at those whose time has come, and sets set->retry_ms to when the next one's does. */
void target_search_due(struct target_set *set, int64_t now_ms);

#endif
