/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns how a failure is told to a user: one sentence that names the subject and the cure. */
#ifndef PYEBPF_ERROR_H
#define PYEBPF_ERROR_H

struct error {
	char text[1024]; /* without a trailing full stop or newline; valid UTF-8 not guaranteed */
};

/*
 * Writes the sentence into *error (NULL: nowhere) and returns `code`, which is -errno, so that a
 * caller can `return error_set(error, -ESRCH, "no process %d", pid);`.
 */
int error_set(struct error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
