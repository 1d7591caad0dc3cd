/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the spelling of targets. */
#include "capture/target_name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "python/text.h"

/* Ports from here on are given to sockets that ask for none (net/ipv4/inet_connection_sock.c). */
#define EPHEMERAL_MIN 32768
#define COUNT_EXACT   16 /* above it a set's size is only told by powers of two */

/* A socket without a peer is listened on, or takes datagrams from anybody. */
static bool unconnected_name(const struct wait_target *target, bool server, char *text)
{
	if (server)
		snprintf(text, TARGET_NAME_SIZE, ":%u", target->local_port);
	else if (target->local_port && target->local_port < EPHEMERAL_MIN)
		snprintf(text, TARGET_NAME_SIZE, "datagrams to port %u", target->local_port);
	else
		snprintf(text, TARGET_NAME_SIZE, "datagrams");
	return true;
}

static bool inet_name(const struct wait_target *target, bool server, char *text)
{
	bool six = target->kind == TARGET_INET6;
	char address[INET6_ADDRSTRLEN];

	if (!target->peer_port)
		return unconnected_name(target, server, text);
	if (!inet_ntop(six ? AF_INET6 : AF_INET, target->address, address, sizeof(address)))
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

static bool descriptor_name(const struct wait_target *target, bool server, char *text)
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

/* Sets grow and shrink: of large ones each size would be a target of its own. */
static void count_name(uint32_t count, char *text, size_t size)
{
	uint32_t power = COUNT_EXACT;

	if (count <= COUNT_EXACT) {
		snprintf(text, size, "%u descriptors", count);
		return;
	}
	while (2 * power < count)
		power *= 2;
	snprintf(text, size, "more than %u descriptors", power);
}

bool target_name(const struct wait_target *target, bool server, char text[TARGET_NAME_SIZE])
{
	char ready[TARGET_NAME_SIZE], count[64];

	if (target->descriptors < 2)
		return descriptor_name(target, server, text);
	count_name(target->descriptors, count, sizeof(count));
	if (descriptor_name(target, server, ready))
		snprintf(text, TARGET_NAME_SIZE, "%s, ready %.*s", count,
			 (int)(TARGET_NAME_SIZE - sizeof(count) - sizeof(", ready ")), ready);
	else
		snprintf(text, TARGET_NAME_SIZE, "%s", count);
	return true;
}
