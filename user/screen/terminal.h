/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the terminal while the live screen is on it: ncurses, colours, keys, and that the terminal
 * is given back as it was, however the program ends (but by SIGKILL).
 */
#ifndef PYEBPF_TERMINAL_H
#define PYEBPF_TERMINAL_H

#include <stdint.h>

#include "error.h"
#include "screen/paint.h"

/*
 * Takes the terminal that is standard input and output. To be released by terminal_close(). Errors
 * with a sentence: -ENOTTY they are none; -ENOTSUP $TERM says nothing that is known.
 */
int terminal_open(struct error *error);
void terminal_close(void);

void terminal_size(uint32_t *columns, uint32_t *lines);

/* A pen for the screen from its first line on; terminal_show() makes visible what it wrote. */
struct pen terminal_pen(void);
void terminal_show(void);

/* The next key, without waiting: a character, or one of enum key. */
int terminal_key(void);

#endif
