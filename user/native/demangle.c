/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns demangling C++ (Itanium C++ ABI, chapter 5.1) and Rust (both of its forms) by libiberty.
 * What is left out tells the reader of a profile little: parameters, the return type, Rust's
 * hashes. Template arguments stay: they make another function.
 *
 * libiberty bounds its recursion, but neither its time nor what it writes: a hundred bytes can
 * stand for an endless name, or an endless search for a short one. So it is left when the rest would
 * be cut, or when it takes too long.
 */
#include "native/demangle.h"

#include <libiberty/demangle.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "native/name.h"
#include "native/time_limit.h"

#define CPLUS_NANOSECONDS_MAX 20000000 /* the longest real names take a hundredth of it */
#define BINDER_DIGITS_MAX     2        /* of the number of lifetimes that a Rust type binds */

enum leaving { LEAVING_FULL = 1, LEAVING_LATE };

struct attempt {
	sigjmp_buf leave;
	struct time_limit limit;
	size_t length;
	char text[NAME_BYTES_MAX + 1]; /* not terminated */
};

static bool attempt_append(struct attempt *attempt, const char *piece, size_t size)
{
	size_t room = sizeof(attempt->text) - attempt->length;
	size_t fits = size < room ? size : room;

	if (fits) /* an empty piece may be NULL */
		memcpy(attempt->text + attempt->length, piece, fits);
	attempt->length += fits;
	return fits == size;
}

static void cplus_piece(const char *piece, size_t size, void *context)
{
	struct attempt *attempt = context;

	if (!attempt_append(attempt, piece, size))
		siglongjmp(attempt->leave, LEAVING_FULL); /* it has all its memory on the stack */
}

static bool is_ascii(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] >= 0x80)
			return false;
	return true;
}

static void rust_piece(const char *piece, size_t size, void *context)
{
	struct attempt *attempt = context;

	/* Only while it hands out an identifier that is not ASCII it holds memory. */
	if (!attempt_append(attempt, piece, size) && is_ascii(piece, size))
		siglongjmp(attempt->leave, LEAVING_FULL);
}

static bool cplus_attempt(const char *name, struct attempt *attempt, unsigned int *patience)
{
	volatile bool done = false;
	int leaving;

	if (!*patience)
		return false;
	attempt->length = 0;
	leaving = sigsetjmp(attempt->leave, 1);
	if (!leaving) {
		if (time_limit_begin(&attempt->limit, CPLUS_NANOSECONDS_MAX, &attempt->leave,
				     LEAVING_LATE))
			return false;
		done = cplus_demangle_v3_callback(name, DMGL_ANSI, cplus_piece, attempt);
	}
	time_limit_end(&attempt->limit);
	if (leaving == LEAVING_LATE)
		--*patience;
	return leaving == LEAVING_FULL || (done && attempt->length);
}

/*
 * What follows a dot is not part of the mangled name: the compiler has made several functions of
 * one (`.cold`, `.part.0`). It is put behind the demangled name as it is.
 */
static bool cplus_demangle_into(const char *name, struct attempt *attempt, unsigned int *patience)
{
	const char *dot = strchrnul(name, '.');
	char *head = strndup(name, (size_t)(dot - name));
	bool done = head && cplus_attempt(head, attempt, patience);

	free(head);
	if (done)
		attempt_append(attempt, dot, strlen(dot));
	return done;
}

/*
 * Whether a Rust name is harmless. The lifetimes that a function's type (F) or a trait object (D)
 * binds are counted one by one, also where nothing is written: G, digits to base 62, `_` (Rust
 * RFC 2603). More than a few are nobody's.
 */
static bool binders_are_small(const char *name)
{
	for (const char *at = name; (at = strchr(at, 'G'));) {
		bool binds = at > name && (at[-1] == 'F' || at[-1] == 'D');
		size_t digits = strspn(++at, "0123456789abcdefghijklmnopqrstuvwxyz"
					     "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

		if (binds && digits > BINDER_DIGITS_MAX && at[digits] == '_')
			return false;
	}
	return true;
}

static bool rust_demangle_into(const char *name, struct attempt *attempt)
{
	if (!binders_are_small(name))
		return false;
	attempt->length = 0;
	if (sigsetjmp(attempt->leave, 0))
		return true;
	return rust_demangle_callback(name, DMGL_ANSI, rust_piece, attempt) && attempt->length;
}

char *demangle(const char *name, unsigned int *patience)
{
	bool mangled = !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2) ||
		       !strncmp(name, "_GLOBAL_", strlen("_GLOBAL_"));
	size_t length = strnlen(name, NAME_BYTES_MAX + 1);
	struct attempt attempt;

	/* Rust first: names in its older form are C++ names too. */
	if (mangled && length <= NAME_BYTES_MAX &&
	    (rust_demangle_into(name, &attempt) || cplus_demangle_into(name, &attempt, patience)))
		return name_clean(attempt.text, attempt.length);
	return name_clean(name, length);
}
