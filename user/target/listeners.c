/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading and remembering listening ports. */
#include "target/listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "target/process.h"

#define TABLE_LIMIT (64 << 20) /* bytes of /proc/PID/net/tcp that are read */
#define LISTENING   0x0A       /* TCP_LISTEN, include/net/tcp_states.h */

struct process_ports {
	uint32_t pid;
	time_t read; /* CLOCK_MONOTONIC, seconds */
	uint8_t ports[65536 / 8];
	UT_hash_handle hh;
};

struct listeners {
	struct process_ports *processes;
};

struct listeners *listeners_new(void)
{
	return calloc(1, sizeof(struct listeners));
}

void listeners_free(struct listeners *listeners)
{
	struct process_ports *ports, *next;

	if (!listeners)
		return;
	HASH_ITER (hh, listeners->processes, ports, next) {
		HASH_DEL(listeners->processes, ports);
		free(ports);
	}
	free(listeners);
}

/* A line is `sl: ADDRESS:PORT ADDRESS:PORT STATE …`, in hexadecimal. */
void listeners_parse(const char *text, uint8_t ports[65536 / 8])
{
	const char *line = text;

	while (line) {
		unsigned int port, state;

		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%4x %*[0-9A-Fa-f]:%*4x %2x", &port, &state) ==
			    2 &&
		    state == LISTENING)
			ports[(port & 0xffff) / 8] |= 1 << port % 8;
		line = strchr(line, '\n');
		if (line)
			line++;
	}
}

static void ports_read(struct process_ports *ports)
{
	static const char *const tables[] = {"tcp", "tcp6"};
	char path[64];
	size_t i, size;
	char *text;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%u/net/%s", ports->pid, tables[i]);
		if (file_read_whole(path, TABLE_LIMIT, &text, &size))
			continue;
		listeners_parse(text, ports->ports);
		free(text);
	}
}

static struct process_ports *ports_find(struct listeners *listeners, uint32_t pid)
{
	struct process_ports *ports;

	HASH_FIND(hh, listeners->processes, &pid, sizeof(pid), ports);
	if (ports)
		return ports;
	ports = calloc(1, sizeof(*ports));
	if (!ports)
		return NULL;
	ports->pid = pid;
	HASH_ADD(hh, listeners->processes, pid, sizeof(ports->pid), ports);
	return ports;
}

bool listeners_hold(struct listeners *listeners, uint32_t pid, uint16_t port)
{
	struct process_ports *ports = ports_find(listeners, pid);
	struct timespec now;

	if (!ports)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!(ports->ports[port / 8] & 1 << port % 8) && ports->read != now.tv_sec) {
		ports->read = now.tv_sec;
		ports_read(ports);
	}
	return ports->ports[port / 8] & 1 << port % 8;
}
