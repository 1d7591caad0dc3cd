/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what cfi.c, which reads the entries of a section, hands to cfi_run.c, which runs their
 * instructions. An entry is a common one (CIE), which others refer to, or a function's (FDE).
 */
#ifndef PYEBPF_CFI_ENTRY_H
#define PYEBPF_CFI_ENTRY_H

#include "native/cfi.h"
#include "native/cfi_cursor.h"

/* A CIE. */
struct cfi_common {
	bool augmented; /* it and its functions have augmentation data */
	bool signal;
	uint8_t encoding; /* of addresses */
	uint64_t code_factor;
	int64_t data_factor;
	struct cursor instructions;
};

/*
 * Reads the FDE at an offset and the CIE that it refers to. `*instructions` are the function's own.
 * Returns 0 or -EINVAL.
 */
int cfi_entry_read(const struct cfi *cfi, size_t at, struct cfi_function *function,
		   struct cfi_common *common, struct cursor *instructions);

#endif
