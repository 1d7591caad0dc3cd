/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the processes that have mapped what may be a Python and are to be looked at: not at once,
 * since an exec maps the program before it is told of, and each once however much it maps.
 */
#ifndef PYEBPF_NOTICED_H
#define PYEBPF_NOTICED_H

#include <stdint.h>
#include <sys/types.h>

#define NOTICED_MS 10 /* from the mapping of a Python to the event of an exec that maps it */

struct noticed; /* NULL: none */

/* Returns 0 or -ENOMEM. */
int noticed_add(struct noticed **noticed, pid_t pid, int64_t now_ms);

/* Removes one that was added NOTICED_MS ago or longer, and returns it; 0: there is none. */
pid_t noticed_take(struct noticed **noticed, int64_t now_ms);

/* CLOCK_MONOTONIC at which there is one to be taken; 0: none has been added. */
int64_t noticed_due_ms(const struct noticed *noticed);

void noticed_free(struct noticed *noticed);

#endif
