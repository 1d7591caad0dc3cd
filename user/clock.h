/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading the clock by which the kernel side stamps its events, too: CLOCK_MONOTONIC. */
#ifndef PYEBPF_CLOCK_H
#define PYEBPF_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ns(void);
int64_t clock_now_ms(void);

#endif
