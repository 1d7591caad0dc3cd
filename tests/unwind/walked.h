/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns what the comparison's program in the kernel writes for each thread that it has walked. */
#ifndef PYEBPF_TESTS_WALKED_H
#define PYEBPF_TESTS_WALKED_H

#include <linux/types.h>

#include "record.h"

/* `count` words follow, as struct sample_record has them. */
struct walked_head {
	__u32 tid;
	__u32 flags;   /* enum sample_flags */
	__u32 loss;    /* enum loss of what cut it; LOSS_COUNT: none */
	__s32 syscall; /* that the thread is in; -1: none */
	__u32 count;
	__u32 pad;
};

#endif
