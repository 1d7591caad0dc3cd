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

/* Writes `size` bytes of a path that need not be UTF-8. */
static bool write_path(const char *prefix, const char *path, size_t size, char *text)
{
	char *valid;

	if (text_from_bytes(path, size, &valid))
		return false;
	snprintf(text, TARGET_NAME_SIZE, "%s%s", prefix, valid);
	free(valid);
	return true;
}

static bool unix_name(const struct wait_target *target, char *text)
{
	/* A name in Linux's abstract space begins with a NUL, which is written as @. */
	bool abstract = !target->path[0] && target->path[1];
	const char *path = target->path + abstract;

	if (!*path) {
		snprintf(text, TARGET_NAME_SIZE, "unix socket");
		return true;
	}
	return write_path(abstract ? "@" : "", path, strnlen(path, sizeof(target->path) - abstract),
			  text);
}

void target_path(const struct wait_target *target, char path[TARGET_PATH_SIZE])
{
	const char *names = target->path, *end = names + sizeof(target->path);
	size_t start = TARGET_PATH_SIZE - 1, length;
	bool whole = false;

	path[start] = '\0';
	while (names < end && *names && !whole) {
		length = strnlen(names, (size_t)(end - names));
		if (names + length + 1 >= end && names != target->path)
			break; /* it is cut, or fills the room just so */
		whole = *names == '/' && names != target->path;
		if (!whole) {
			start -= length;
			memcpy(path + start, names, length);
			path[--start] = '/';
		}
		names += length + 1;
	}
	/* One name alone, or the inner part of a path, does not begin with a slash. */
	if (!whole && start < TARGET_PATH_SIZE - 1)
		start++;
	memmove(path, path + start, TARGET_PATH_SIZE - start);
}

/* "/tmp/fifo", "/dev/pts/1", "eventfd", "pipe"; as the kernel names them: "[eventfd]", "". */
static bool pipe_name(const char *path, char *text)
{
	size_t size = strlen(path);

	if (!size)
		return write_path("", "pipe", strlen("pipe"), text);
	if (path[0] == '[' && path[size - 1] == ']')
		return write_path("", path + 1, size - 2, text);
	return write_path(path[0] == '/' ? "" : TARGET_PATH_CUT, path, size, text);
}

static bool file_name(const char *path, char *text)
{
	bool cut = path[0] != '/' && strchr(path, '/');

	return *path && write_path(cut ? TARGET_PATH_CUT : "", path, strlen(path), text);
}

static bool descriptor_name(const struct wait_target *target, bool server, char *text)
{
	char path[TARGET_PATH_SIZE];

	switch (target->kind) {
	case TARGET_INET:
	case TARGET_INET6:
		return inet_name(target, server, text);
	case TARGET_UNIX:
		return unix_name(target, text);
	case TARGET_FILE:
		target_path(target, path);
		return file_name(path, text);
	case TARGET_PIPE:
		target_path(target, path);
		return pipe_name(path, text);
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
