/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the path of a file that a process waited for: the kernel side tells but its last component. */
#ifndef PYEBPF_FILE_PATH_H
#define PYEBPF_FILE_PATH_H

#include <stddef.h>

#include "record.h"

/*
 * Finds the path, as the process sees it, by the descriptor if it still leads to the same file.
 * Returns 0, or -ENOENT: it does not (any more), or the process has ended.
 */
int file_path_find(const struct sample_record *sample, char *path, size_t size);

#endif
