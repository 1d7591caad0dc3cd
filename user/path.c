/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns taking paths apart; see path.h. */
#include "path.h"

#include <string.h>

const char *path_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
