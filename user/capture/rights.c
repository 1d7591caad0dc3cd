/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the look at capabilities, lockdown and kernel types. */
#include "capture/rights.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define KERNEL_TYPES  "/sys/kernel/btf/vmlinux"
#define LOCKDOWN_FILE "/sys/kernel/security/lockdown"

/* Inode numbers of the first namespaces, the same on all kernels: include/linux/proc_ns.h. */
#define FIRST_USER_NAMESPACE 0xeffffffdU
#define FIRST_PID_NAMESPACE  0xeffffffcU

const struct capability_need capability_needs[] = {
	{CAP_BPF, "CAP_BPF", "to load BPF programs"},
	{CAP_PERFMON, "CAP_PERFMON", "to sample CPUs and to attach to the scheduler"},
	{CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "to look at other users' processes"},
	{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "to probe where code objects are freed"},
	{0, NULL, NULL},
};

bool capability_held(cap_value_t value)
{
	cap_flag_value_t held = CAP_CLEAR;
	cap_t all = cap_get_proc();

	if (!all)
		return false;
	/* Before Linux 5.8 there were no CAP_BPF and CAP_PERFMON; CAP_SYS_ADMIN still stands for both. */
	if (cap_get_flag(all, value, CAP_EFFECTIVE, &held))
		held = CAP_CLEAR;
	if (held == CAP_CLEAR && (value == CAP_BPF || value == CAP_PERFMON))
		cap_get_flag(all, CAP_SYS_ADMIN, CAP_EFFECTIVE, &held);
	cap_free(all);
	return held == CAP_SET;
}

/* Where it cannot be told, it is taken for the first one. */
static bool namespace_is(const char *path, ino_t first)
{
	struct stat status;

	return stat(path, &status) || status.st_ino == first;
}

bool namespaces_are_hosts(const char **cure)
{
	if (!namespace_is("/proc/self/ns/user", FIRST_USER_NAMESPACE))
		*cure = "rights in a user namespace do not count: run pyebpf as root outside of it";
	else if (!namespace_is("/proc/self/ns/pid", FIRST_PID_NAMESPACE))
		*cure = "processes have other PIDs in this pid namespace than for the kernel: run "
			"pyebpf on the host, or in a container with the host's (--pid=host)";
	else
		return true;
	return false;
}

bool kernel_types_available(void)
{
	return !access(KERNEL_TYPES, R_OK);
}

const char *kernel_lockdown(void)
{
	static const char *const modes[] = {"integrity", "confidentiality"};
	char line[128] = "";
	FILE *file = fopen(LOCKDOWN_FILE, "re");
	size_t i;

	if (!file)
		return "none";
	if (!fgets(line, sizeof(line), file))
		line[0] = 0;
	fclose(file);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		const char *found = strstr(line, modes[i]);

		if (found && found > line && found[-1] == '[')
			return modes[i];
	}
	return "none";
}

bool kernel_is_too_old(void)
{
	struct utsname system;
	unsigned int major, minor;

	if (uname(&system) || sscanf(system.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major < 6 || (major == 6 && minor < 1);
}

int rights_check(struct error *error)
{
	const struct capability_need *need;
	const char *cure;

	for (need = capability_needs; need->name; need++)
		if (!capability_held(need->value))
			return error_set(error, -EPERM,
					 "no right to record: %s is missing, needed %s; run pyebpf "
					 "with sudo, or see `pyebpf check`",
					 need->name, need->why);
	if (!namespaces_are_hosts(&cure))
		return error_set(error, -EPERM, "cannot record: %s", cure);
	if (!kernel_types_available())
		return error_set(
			error, -ENOTSUP,
			"this kernel does not describe its types (no %s): it must be built "
			"with CONFIG_DEBUG_INFO_BTF",
			KERNEL_TYPES);
	if (!strcmp(kernel_lockdown(), "confidentiality"))
		return error_set(error, -EPERM,
				 "the kernel is locked down (confidentiality mode in %s), which "
				 "forbids BPF programs to read memory; boot without "
				 "lockdown=confidentiality",
				 LOCKDOWN_FILE);
	return 0;
}
