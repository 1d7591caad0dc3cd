/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the checks of numbers. */
#include "commands/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

uint32_t argument_whole(const char *text, const char *what, uint32_t most,
			const struct argp_state *state)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || !value || value > most)
		argp_error(state, "%s must be a whole number from 1 to %" PRIu32 ", not `%s`", what,
			   most, text);
	return value;
}

double argument_quantity(const char *text, const char *what, double least, double most,
			 const struct argp_state *state)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !isfinite(value) || value < least || value > most)
		argp_error(state, "%s must be a number from %g to %.0f, not `%s`", what, least,
			   most, text);
	return value;
}
