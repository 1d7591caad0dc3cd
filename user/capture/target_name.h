/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns how what a thread waits on is written for a reader. */
#ifndef PYEBPF_TARGET_NAME_H
#define PYEBPF_TARGET_NAME_H

#include <stdbool.h>

#include "record.h"

#define TARGET_NAME_SIZE 320  /* 64 bytes of which each may need four, or five characters more */
#define TARGET_PATH_SIZE 80   /* of what struct wait_target keeps of a path */
#define TARGET_PATH_CUT  "…/" /* begins a path of which the outer part is not known */

/*
 * Puts the path of a file or a pipe together, as far as the target has it: with a slash first it is
 * whole, else its inner part. Empty: nothing is known.
 */
void target_path(const struct wait_target *target, char path[TARGET_PATH_SIZE]);

/*
 * Writes `127.0.0.1:5432`, `[::1]:80`, a path, `pipe`, `eventfd`; for a client of a server's, whose port says
 * nothing, `:8000 from 10.0.0.7` (profile/names.h has target_is_client()). `server` says whether
 * the local port is one that is listened on. Returns false where nothing is known.
 */
bool target_name(const struct wait_target *target, bool server, char text[TARGET_NAME_SIZE]);

#endif
