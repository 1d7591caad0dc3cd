/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns looking for tracepoints among the kernel's types; see tracepoint.h. All at once, since to
 * read the types takes milliseconds.
 */
#include "capture/tracepoint.h"

#include <bpf/btf.h>
#include <stdio.h>

uint32_t tracepoints_find(const char *const *names, size_t count)
{
	struct btf *types = btf__load_vmlinux_btf();
	uint32_t found = 0;
	char name[128];
	size_t i;

	if (!types)
		return 0;
	for (i = 0; i < count && i < TRACEPOINTS_MAX; i++) {
		snprintf(name, sizeof(name), "btf_trace_%s", names[i]);
		if (btf__find_by_name_kind(types, name, BTF_KIND_TYPEDEF) > 0)
			found |= 1U << i;
	}
	btf__free(types);
	return found;
}
