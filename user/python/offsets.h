/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns where the fields of struct python_layout come from: for CPython up to 3.12 a table that
 * tools/offset_table.c generates from interpreters' debug information, from 3.13 on the target's
 * own _Py_DebugOffsets. Leaves checking them against a live process to interpreter.h.
 */
#ifndef PYEBPF_OFFSETS_H
#define PYEBPF_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "layout.h"

#define PYTHON_VERSION(major, minor) ((uint32_t)(major) << 8 | (uint32_t)(minor))
#define PYTHON_VERSION_OLDEST        PYTHON_VERSION(3, 6)
#define PYTHON_VERSION_NEWEST        PYTHON_VERSION(3, 15)

/* From here on _PyRuntime begins with _Py_DebugOffsets. */
#define PYTHON_VERSION_DEBUG_OFFSETS PYTHON_VERSION(3, 13)

/* Bytes at the start of _PyRuntime that hold any version's _Py_DebugOffsets. */
#define DEBUG_OFFSETS_SIZE 1024

/* The generated rows, in ascending order of version; one per minor version. */
extern const struct python_layout layout_table[];
extern const size_t layout_table_count;

/* Copies the row of a version (struct python_layout.version) up to 3.12. Returns 0 or -ENOENT. */
int layout_from_table(uint32_t version, struct python_layout *layout);

/*
 * Whether bytes begin a _Py_DebugOffsets; then stores PY_VERSION_HEX (0x030d00f0 is 3.13.0 final)
 * and whether the build is free-threaded. Returns 0, or -ENOENT when the cookie is not there.
 */
int debug_offsets_version(const void *bytes, size_t size, uint32_t *version_hex,
			  uint32_t *free_threaded);

/*
 * Makes the layout from `size` bytes of _Py_DebugOffsets. Returns 0; -ENOENT no cookie; -ENOTSUP
 * a version or kind of build that is not known; -EINVAL numbers that cannot be offsets.
 */
int layout_from_debug_offsets(const void *bytes, size_t size, struct python_layout *layout,
			      struct error *error);

#endif
