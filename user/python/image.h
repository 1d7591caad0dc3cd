/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what a file of machine code says of the CPython in it: the same in all processes that map
 * it. Leaves remembering it to programs.h, and what a process' memory says to interpreter.c.
 */
#ifndef PYEBPF_IMAGE_H
#define PYEBPF_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "native/elf.h"

#define COLLECTORS_MAX 2 /* functions that run a collection, made of one by the compiler */

enum image_kind {
	IMAGE_OTHER,   /* no CPython, or not an ELF file that this program reads */
	IMAGE_PYTHON,  /* it defines _PyRuntime */
	IMAGE_ANCIENT, /* a CPython from before _PyRuntime */
};

/* Virtual addresses, 0: the file does not say. */
struct python_image {
	enum image_kind kind;
	uint64_t shift; /* bias - (start - offset) of the mapping that was looked at */
	uint64_t runtime;
	uint64_t version; /* Py_Version, from 3.11 on */
	uint64_t code_type;
	uint64_t frame_type;
	uint64_t
		loop_start[2]; /* _PyEval_EvalFrameDefault and its unlikely part, without 3.11 on */
	uint64_t loop_end[2];
	/* Learned from processes, to be tried first in others: */
	uint64_t version_text; /* what Py_GetVersion() returns */
	uint64_t dealloc;      /* PyCode_Type.tp_dealloc, */
	uint64_t dealloc_offset;
	bool dealloc_cheap; /* and struct code_dealloc of it */
	bool collectors_known;
	uint64_t collectors[COLLECTORS_MAX]; /* see struct interpreter */
};

/*
 * Fills *image from a file that `mapping` maps. A table of all symbols is large: it is looked
 * through only if the file's name speaks of Python (`named`) or .dynsym has promised something.
 * What it cannot find is 0; it cannot fail.
 */
void image_read(const struct elf_file *elf, const struct mapping *mapping, bool named,
		struct python_image *image);

/* The kind alone, of a file that need not run. */
enum image_kind image_kind_of(const struct elf_file *elf, bool named);

/* Whether the last part of a path speaks of Python. */
bool image_is_named(const char *path);

#endif
