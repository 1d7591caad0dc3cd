/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns checking a layout against a live process, from outside and while that runs. Leaves finding
 * the layout and the addresses to interpreter.c.
 */
#ifndef PYEBPF_CHECK_H
#define PYEBPF_CHECK_H

#include <stdint.h>

#include "error.h"
#include "layout.h"
#include "target/process.h"

/*
 * Follows the lists of interpreters and threads and the frames of threads in the process, and
 * checks everything that must agree. `runtime` is the address of _PyRuntime. *code_type is the
 * address of PyCode_Type, or 0 if that is not known: then it is stored, taken from a code object
 * whose type is named "code". Returns 0 when at least one frame was decoded whole, or when there is
 * none and all else agrees: an embedded interpreter between two calls. Each code object's type is
 * looked at again when a sample names it. -EAGAIN there was nothing to decode, and *code_type is
 * not known; -EPROTO something contradicts the layout (it may have changed while it
 * was read: try again); -ESRCH the process ended; -EPERM no right. The sentence says what it was.
 */
int layout_check(const struct process *process, const struct python_layout *layout,
		 uint64_t runtime, uint64_t *code_type, struct error *error);

#endif
