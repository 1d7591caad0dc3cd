/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading numbers from the command line. What is not one ends the program, with the reason. */
#ifndef PYEBPF_ARGUMENTS_H
#define PYEBPF_ARGUMENTS_H

#include <argp.h>
#include <stdint.h>

/* A whole number from 1 to `most`. `what` names it in the message: "the process id". */
uint32_t argument_whole(const char *text, const char *what, uint32_t most,
			const struct argp_state *state);

/* A number from `least` to `most`. */
double argument_quantity(const char *text, const char *what, double least, double most,
			 const struct argp_state *state);

#endif
