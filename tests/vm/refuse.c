/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns pretending that a kernel lacks hooks, so that each rung of pyebpf's ladder of wait hooks
 * can be tried on every kernel: preloaded, it has libbpf refuse the programs that the environment
 * variable PYEBPF_REFUSE names (with a space behind each). With PYEBPF_LOG set, all that libbpf and
 * the kernel's verifier complain of goes to standard error.
 */
#define _GNU_SOURCE
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bpf_program__set_autoload(struct bpf_program *program, bool load)
{
	int (*next)(struct bpf_program *, bool) = dlsym(RTLD_NEXT, "bpf_program__set_autoload");
	const char *name = bpf_program__name(program);
	const char *refused = getenv("PYEBPF_REFUSE");

	while (load && refused && (refused = strstr(refused, name))) {
		refused += strlen(name);
		if (*refused == ' ')
			return -EPERM;
	}
	return next(program, load);
}

static int complaint_print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

libbpf_print_fn_t libbpf_set_print(libbpf_print_fn_t print)
{
	libbpf_print_fn_t (*next)(libbpf_print_fn_t) = dlsym(RTLD_NEXT, "libbpf_set_print");

	return next(getenv("PYEBPF_LOG") ? complaint_print : print);
}
