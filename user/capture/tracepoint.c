/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns looking for tracepoints by the names in the kernel's type information; see tracepoint.h. To
 * have libbpf look up a type takes 25 ms each time, since it builds an index of all types first; a
 * search through the names takes 2.
 */
#include "capture/tracepoint.h"

#include <linux/btf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/process.h"

#define KERNEL_TYPES     "/sys/kernel/btf/vmlinux"
#define KERNEL_TYPES_MAX (256U << 20)

/* Whether the strings, each of which ends in a NUL, have this one. */
static bool strings_have(const char *strings, size_t size, const char *name)
{
	char wanted[128];
	int length = snprintf(wanted, sizeof(wanted), "%cbtf_trace_%s", '\0', name);

	return length > 0 && (size_t)length < sizeof(wanted) &&
	       memmem(strings, size, wanted, (size_t)length + 1);
}

uint32_t tracepoints_find(const char *const *names, size_t count)
{
	struct btf_header header;
	uint32_t found = 0;
	char *types;
	size_t size, i;

	if (file_read_whole(KERNEL_TYPES, KERNEL_TYPES_MAX, &types, &size))
		return 0;
	if (size < sizeof(header))
		goto done;
	memcpy(&header, types, sizeof(header));
	if (header.magic != BTF_MAGIC || header.hdr_len > size ||
	    header.str_off > size - header.hdr_len ||
	    header.str_len > size - header.hdr_len - header.str_off)
		goto done;
	for (i = 0; i < count && i < TRACEPOINTS_MAX; i++)
		if (strings_have(types + header.hdr_len + header.str_off, header.str_len, names[i]))
			found |= 1U << i;
done:
	free(types);
	return found;
}
