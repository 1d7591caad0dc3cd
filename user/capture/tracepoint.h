/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns which tracepoints the running kernel has, for programs that are loaded only with theirs. */
#ifndef PYEBPF_TRACEPOINT_H
#define PYEBPF_TRACEPOINT_H

#include <stddef.h>
#include <stdint.h>

#define TRACEPOINTS_MAX 32

/*
 * Returns a bit for each of `count` names, the first in bit 0: whether the kernel describes a
 * tracepoint of that name for tp_btf programs (`btf_trace_NAME` in its type information). None,
 * where that cannot be read.
 */
uint32_t tracepoints_find(const char *const *names, size_t count);

#endif
