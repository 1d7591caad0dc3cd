/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns which TCP ports are listened on where a process lives. A connection of such a port is one
 * to a client: its own port says what it is for, the client's says nothing.
 */
#ifndef PYEBPF_LISTENERS_H
#define PYEBPF_LISTENERS_H

#include <stdbool.h>
#include <stdint.h>

struct listeners;

struct listeners *listeners_new(void); /* NULL: no memory */
void listeners_free(struct listeners *listeners);

/*
 * Whether somebody in the process' network namespace listens on the port. What is not found is
 * looked up anew once a second; if it cannot be, the answer is no.
 */
bool listeners_hold(struct listeners *listeners, uint32_t pid, uint16_t port);

/* Takes the ports that are listened on from a text in the format of /proc/PID/net/tcp. */
void listeners_parse(const char *text, uint8_t ports[65536 / 8]);

#endif
