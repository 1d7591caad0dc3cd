/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the whole path of a file that a process waited for, as long as it is open: the kernel side
 * tells only so much of it as has room in a sample (target_name.h).
 */
#ifndef PYEBPF_FILE_PATH_H
#define PYEBPF_FILE_PATH_H

#include <stddef.h>

#include "record.h"

/*
 * Finds the path, as the process sees it, by the descriptor if it still leads to the same file,
 * with the same name. Also of named pipes and terminals.
 * Returns 0, or -ENOENT: it does not (any more), or the process has ended.
 */
int file_path_find(const struct sample_record *sample, char *path, size_t size);

#endif
