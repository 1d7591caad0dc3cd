/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns finding out which CPython a process runs, where it lies, how its memory is laid out, and
 * that this is true of the live process. Leaves walking stacks to bpf/python.bpf.h.
 */
#ifndef PYEBPF_INTERPRETER_H
#define PYEBPF_INTERPRETER_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "layout.h"
#include "python/image.h"
#include "target/process.h"

/* Where code objects are freed: a probe here tells when an address stops being a code object. */
struct code_dealloc {
	uint64_t address; /* in the process, of PyCode_Type.tp_dealloc; 0: not found */
	uint64_t offset;  /* in struct interpreter.file, bytes: where a uprobe goes, see below */
	bool cheap;       /* the instruction there is one that the kernel emulates: push or nop.
			   * After an endbr64 `offset` is the next instruction's. */
};

struct interpreter {
	struct python_layout layout;
	char version[32]; /* "3.11.2" */
	char *path;       /* of the module that has _PyRuntime, as the process sees it */
	char *file;       /* the same file by a path which this process can open */
	uint64_t runtime; /* address of _PyRuntime (3.6: see offsets.c) */
	uint64_t code_type;
	uint64_t frame_type; /* PyFrame_Type, up to 3.10; else 0 */
	uint64_t
		text_start; /* the module's executable mapping(s): the interpreter's instructions */
	uint64_t text_end;
	struct code_dealloc code_dealloc;
	/* Where the function that collects garbage begins, in `file`, if a probe there is cheap. */
	uint64_t collectors[COLLECTORS_MAX]; /* offsets; 0: none */
	/* Where _PyEval_EvalFrameDefault lies, up to 3.10: see struct process_config. */
	uint64_t loop_start[2];
	uint64_t loop_end[2];
};

/*
 * Fills *interpreter, to be released by interpreter_release(), after the layout was checked against
 * the live process: the lists of interpreters and threads, the threads' back pointers, a thread's
 * frames, their code objects' type, names and line tables. Errors, each with a sentence:
 *  -ENOEXEC  no CPython in this process; right after an exec: not yet, its libraries are loading
 *  -ENOTSUP  a version or a kind of build (free-threaded) that is not supported
 *  -EAGAIN   a CPython that has not begun or is ending, or an embedded one that is idle, if its file
 *            does not tell where PyCode_Type is: worth another try in some milliseconds
 *  -EPROTO   its memory contradicts the layout: damaged, patched, or not what it says it is
 *  -ESRCH    the process ended
 *  -EACCES, -EPERM  no rights; the sentence says which
 */
int interpreter_inspect(const struct process *process, struct interpreter *interpreter,
			struct error *error);

struct programs;

/* The same with what is known of files, see programs.h: the live process is checked as ever. */
int interpreter_inspect_known(struct programs *programs, const struct process *process,
			      struct interpreter *interpreter, struct error *error);

/* Releases the strings of a filled or zeroed struct and zeroes it. */
void interpreter_release(struct interpreter *interpreter);

#endif
