/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns how text from a recording gets onto a terminal: made harmless, measured in columns, cut to
 * fit. Widths need a UTF-8 locale (LC_CTYPE); in another one, what is not ASCII is escaped.
 */
#ifndef PYEBPF_TEXT_H
#define PYEBPF_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Returns a copy without what would move the cursor, colour the screen or reorder the line:
 * control characters, and those that turn the direction of writing, become \n, \x1b or \u202e. To
 * be freed by the caller; NULL: no memory.
 */
char *text_escape(const char *text);

/* The columns that an escaped text takes. */
size_t text_width(const char *text);

/*
 * Returns an escaped text that takes at most `columns`: the text itself where it fits, else its
 * start and end with an ellipsis between. To be freed by the caller; NULL: no memory.
 */
char *text_shorten(const char *text, size_t columns);

/* The same for sentences, of which the start says most: the ellipsis is at the end. */
char *text_cut(const char *text, size_t columns);

/*
 * Writes words in lines of at most `columns`, with `indent` spaces before the first line and
 * `hang` before the others. Lines do not break behind a number.
 */
void text_wrap(FILE *stream, const char *text, size_t indent, size_t hang, size_t columns);

/* Writes 12345 as "12 345" into a buffer, and returns it. */
#define TEXT_NUMBER_BYTES 32
char *text_number(char buffer[TEXT_NUMBER_BYTES], int64_t number);

#endif
