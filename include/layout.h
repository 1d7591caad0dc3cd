/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the description of one CPython build's memory that the walker in bpf/python.bpf.h needs:
 * which fields lie where, and which of the few models of frames the version has. Leaves to
 * user/python/layout.c where the numbers come from: a table generated from debug information up
 * to 3.12, the target's own _Py_DebugOffsets from 3.13 on.
 */
#ifndef PYEBPF_LAYOUT_H
#define PYEBPF_LAYOUT_H

#include <linux/types.h>

/* The first version that can compile Python to machine code. */
#define GENERATES_CODE 0x030d

/* Where a thread keeps its innermost frame, and what a frame is. */
enum frame_model {
	FRAME_MODEL_OBJECT,  /* up to 3.10: tstate->frame, a heap object per frame */
	FRAME_MODEL_CFRAME,  /* 3.11, 3.12: tstate->cframe->current_frame, frames in chunks */
	FRAME_MODEL_CURRENT, /* 3.13 on: tstate->current_frame, frames in chunks */
};

/* How a code object's line table is to be read (Objects/codeobject.c, Objects/lnotab_notes.txt). */
enum line_format {
	LINE_FORMAT_LNOTAB,    /* up to 3.9: co_lnotab, pairs of increments */
	LINE_FORMAT_LINETABLE, /* 3.10: co_linetable, PEP 626 */
	LINE_FORMAT_LOCATIONS, /* 3.11 on: co_linetable, PEP 657 */
};

/* All offsets are bytes from the start of the named object. */
struct python_layout {
	__u32 version;     /* major << 8 | minor: 0x030b is 3.11 */
	__u32 frame_model; /* enum frame_model */
	__u32 line_format; /* enum line_format */

	/* _PyRuntimeState */
	__u32 runtime_interpreters_head;
	__u32 runtime_gil;           /* ceval.gil, up to 3.11; 0 later */
	__u32 runtime_gc_collecting; /* gc.collecting, an int, up to 3.8; 0 later */

	/* PyInterpreterState */
	__u32 interpreter_next;
	__u32 interpreter_threads_head;
	__u32 interpreter_gil;           /* ceval.gil, a pointer, from 3.12 on; 0 before */
	__u32 interpreter_gc_collecting; /* gc.collecting, an int, from 3.9 on; 0 before */
	__u32 interpreter_gc_frame;      /* gc.frame, from 3.15 on; 0 before */
	__u32 interpreter_gc_statistics; /* gc.generation_stats, a pointer, from 3.15 on; 0 before */

	/* struct _gil_runtime_state */
	__u32 gil_size;        /* bytes; a futex inside is the GIL's */
	__u32 gil_last_holder; /* PyThreadState * */
	__u32 gil_locked;      /* int */

	/* PyThreadState */
	__u32 thread_size; /* bytes to read that hold all the fields below */
	__u32 thread_prev;
	__u32 thread_next;
	__u32 thread_interpreter;
	__u32 thread_id;    /* unsigned long: pthread_self(), the thread pointer */
	__u32 thread_frame; /* frame, cframe or current_frame: see frame_model */
	__u32 cframe_current_frame;
	__u32 cframe_previous;

	/* PyFrameObject up to 3.10, _PyInterpreterFrame from 3.11 on */
	__u32 frame_size; /* bytes to read that hold all the fields below */
	__u32 frame_previous;
	__u32 frame_code;
	__u32 frame_instruction; /* f_lasti (int), or a pointer to a code unit from 3.11 on */
	__u32 frame_owner;       /* char, from 3.11 on; 0 before */
	__u32 frame_entry;       /* is_entry (bool), in 3.11; 0 in others */
	__u32 frame_owner_shim;  /* owners from this value on run no Python code; 255: none */
	__u32 frame_code_tags;   /* low bits of the code pointer that are tags: 0, 1 or 3 */
	__u32 instruction_scale; /* f_lasti times this is bytes: 2 in 3.10, else 1 */

	/* PyCodeObject */
	__u32 code_size; /* bytes to read that hold all the fields below */
	__u32 code_name;
	__u32 code_qualified_name; /* co_qualname from 3.11 on; 0 before */
	__u32 code_filename;
	__u32 code_first_line;
	__u32 code_line_table;
	__u32 code_instructions; /* co_code_adaptive from 3.11 on; 0 before */
	__u32 code_bytecode;     /* co_code, a bytes object, up to 3.10; 0 later */
	__u32 code_version;      /* co_version, unique while not 0, from 3.12 on; 0 before */

	/* PyObject, PyVarObject, PyBytesObject, PyUnicodeObject */
	__u32 object_type;
	__u32 bytes_size; /* ob_size */
	__u32 bytes_data;
	__u32 text_length;
	__u32 text_hash;
	__u32 text_state;        /* the bit field */
	__u32 text_kind_shift;   /* where `kind` (3 bits), `compact`, `ascii` begin in it */
	__u32 text_ascii_data;   /* characters of a compact ASCII object */
	__u32 text_compact_data; /* characters of a compact object with others */
};

#endif
