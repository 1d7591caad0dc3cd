/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns processes that are to be looked at in a moment; see noticed.h. */
#include "capture/noticed.h"

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>

struct noticed {
	pid_t pid;
	int64_t due_ms;
	UT_hash_handle hh; /* uthash keeps them as they were added: the first is due first */
};

int noticed_add(struct noticed **noticed, pid_t pid, int64_t now_ms)
{
	struct noticed *entry;

	HASH_FIND(hh, *noticed, &pid, sizeof(pid), entry);
	if (entry)
		return 0;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	entry->pid = pid;
	entry->due_ms = now_ms + NOTICED_MS;
	HASH_ADD(hh, *noticed, pid, sizeof(entry->pid), entry);
	return 0;
}

pid_t noticed_take(struct noticed **noticed, int64_t now_ms)
{
	struct noticed *entry = *noticed;
	pid_t pid;

	if (!entry || entry->due_ms > now_ms)
		return 0;
	pid = entry->pid;
	HASH_DEL(*noticed, entry);
	free(entry);
	return pid;
}

int64_t noticed_due_ms(const struct noticed *noticed)
{
	return noticed ? noticed->due_ms : 0;
}

void noticed_free(struct noticed *noticed)
{
	while (noticed_take(&noticed, INT64_MAX))
		;
}
