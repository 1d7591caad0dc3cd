/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the spelling of targets. */
#include "capture/target_name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/text.h"

static bool inet_name(const struct wait_target *target, bool server, char *text)
{
	bool six = target->kind == TARGET_INET6;
	char address[INET6_ADDRSTRLEN];

	if (!target->peer_port ||
	    !inet_ntop(six ? AF_INET6 : AF_INET, target->address, address, sizeof(address)))
		return false;
	if (server)
		snprintf(text, TARGET_NAME_SIZE, ":%u from %s", target->local_port, address);
	else
		snprintf(text, TARGET_NAME_SIZE, six ? "[%s]:%u" : "%s:%u", address,
			 target->peer_port);
	return true;
}

static bool path_name(const struct wait_target *target, const char *unnamed, char *text)
{
	/* A name in Linux's abstract space begins with a NUL, which is written as @. */
	bool abstract = target->kind == TARGET_UNIX && !target->path[0] && target->path[1];
	const char *path = target->path + abstract;
	char *valid;

	if (!*path) {
		snprintf(text, TARGET_NAME_SIZE, "%s", unnamed);
		return *unnamed;
	}
	if (text_from_bytes(path, strnlen(path, sizeof(target->path) - abstract), &valid))
		return false;
	snprintf(text, TARGET_NAME_SIZE, "%s%s", abstract ? "@" : "", valid);
	free(valid);
	return true;
}

bool target_name(const struct wait_target *target, bool server, char text[TARGET_NAME_SIZE])
{
	switch (target->kind) {
	case TARGET_INET:
	case TARGET_INET6:
		return inet_name(target, server, text);
	case TARGET_UNIX:
		return path_name(target, "unix socket", text);
	case TARGET_FILE:
		return path_name(target, "", text);
	case TARGET_PIPE:
		snprintf(text, TARGET_NAME_SIZE, "pipe");
		return true;
	}
	return false;
}
