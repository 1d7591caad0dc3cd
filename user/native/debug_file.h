/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns finding the file that holds the symbols and the debug information which were taken out of
 * another one, and proving that it belongs to it. Nothing is downloaded.
 */
#ifndef PYEBPF_DEBUG_FILE_H
#define PYEBPF_DEBUG_FILE_H

#include "native/elf.h"

/*
 * Opens the debug file of `file`, to be closed by elf_file_close(). It is looked for by build-id,
 * as ROOT/.build-id/xx/yyyy.debug, then by the name in .gnu_debuglink: beside the file, in .debug
 * there, and as ROOT/DIRECTORY/NAME. For `roots` see symbols_read(). One that cannot be proven to
 * belong to the file, by build-id or by checksum, is passed over. Returns 0, -ENOENT or -ENOMEM.
 */
int debug_file_open(const struct elf_file *file, const char *const roots[], struct elf_file *debug);

/* Opens the debug file that has a build-id, in the first of these ways. Errors as above. */
int debug_file_find(const uint8_t *build_id, size_t size, const char *const roots[],
		    struct elf_file *debug);

/*
 * Opens the small symbol table that a file carries compressed in itself (.gnu_debugdata, made by
 * Fedora and others), unpacked in memory, to be closed in the same way. Returns 0, -ENOENT it has
 * none, -EINVAL damaged, -ENOMEM or -errno.
 */
int debug_file_unpack(const struct elf_file *file, struct elf_file *unpacked);

#endif
