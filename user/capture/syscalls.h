/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns what is known of system calls: their names, and how each can make a thread wait. */
#ifndef PYEBPF_SYSCALLS_H
#define PYEBPF_SYSCALLS_H

#include <stdint.h>

#include "config.h"

/* Fills the table for the BPF programs: enum syscall_wait by number. */
void syscall_waits_fill(uint8_t waits[SYSCALLS_MAX]);

/* NULL: this build does not know the number. */
const char *syscall_name(int number);

#endif
