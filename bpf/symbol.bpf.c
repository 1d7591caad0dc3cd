// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns naming kernel addresses: the kernel itself knows its symbols, and to ask it for some
 * hundred costs nothing against reading all of /proc/kallsyms.
 */
#include "kernel.h"
#include "symbol.h"

SEC("syscall")
int name_address(struct symbol_query *query)
{
	static const char format[] = "%ps";
	char name[SYMBOL_NAME_SIZE];
	__u64 address = query->address;

	if (bpf_snprintf(name, sizeof(name), format, &address, sizeof(address)) < 0)
		return -1;
	__builtin_memcpy(query->name, name, sizeof(name));
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
