/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns taking paths apart. Leaves what tells several paths apart to views/paths.h. */
#ifndef PYEBPF_PATH_H
#define PYEBPF_PATH_H

/* What comes behind the last slash; the whole path without one. */
const char *path_base_name(const char *path);

#endif
