/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns whether this process and this kernel allow recording, and what to say when they do not. */
#ifndef PYEBPF_RIGHTS_H
#define PYEBPF_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/capability.h>

#include "error.h"

struct capability_need {
	cap_value_t value;
	const char *name;
	const char *why;
};

/* What recording needs; ends with a name of NULL. */
extern const struct capability_need capability_needs[];

bool capability_held(cap_value_t value);

/*
 * Whether this process is in the namespaces of the host: programs in the kernel see its PIDs alone,
 * and capabilities count only there. What is to be done where it is not goes to *cure.
 */
bool namespaces_are_hosts(const char **cure);

/* Whether the kernel's type information is there; without it programs cannot be fitted to it. */
bool kernel_types_available(void);

/*
 * The kernel's lockdown mode: "none", "integrity" or "confidentiality"; "none" as well where the
 * kernel has no lockdown. Under confidentiality programs may not read kernel memory.
 */
const char *kernel_lockdown(void);

/*
 * Whether the kernel calls itself older than those that pyebpf is tested on. An explanation when
 * it has refused the programs, no reason not to try: some distributions' kernels can do more than
 * their version says.
 */
#define KERNEL_NEEDED "pyebpf needs Linux 6.1 or later"
bool kernel_is_too_old(void);

/* Returns 0, or -EPERM / -ENOTSUP with a sentence that says what is missing and what to do. */
int rights_check(struct error *error);

#endif
