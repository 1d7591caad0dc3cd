/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Owns the question for the name of a kernel address: context of bpf/symbol.bpf.c. */
#ifndef PYEBPF_SYMBOL_H
#define PYEBPF_SYMBOL_H

#include <linux/types.h>

#define SYMBOL_NAME_SIZE 128

struct symbol_query {
	__u64 address;
	char name[SYMBOL_NAME_SIZE]; /* answer: `name`, or `name [module]` */
};

#endif
