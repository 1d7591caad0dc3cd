/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the records that the BPF programs put into the ring buffer, and their sizes. Leaves to
 * bpf/emit.bpf.h how they get there, to user/capture/decode.c what becomes of them.
 *
 * Order: the ring keeps the order of emission over all CPUs. The record of a code object precedes
 * every sample that names it, and follows the samples that named a freed one at the same address.
 */
#ifndef PYEBPF_RECORD_H
#define PYEBPF_RECORD_H

#include <linux/types.h>

#include "state.h"

#define COMM_SIZE          16    /* TASK_COMM_LEN */
#define PYTHON_FRAMES_MAX  1536  /* frames kept of one stack, innermost first */
#define KERNEL_FRAMES_MAX  64    /* return addresses kept of one kernel stack */
#define NATIVE_FRAMES_MAX  1024  /* kept of one stack, if its Python frames leave room for them */
#define FRAMES_BYTES       30720 /* for the Python and native frames of one stack */
#define NAME_BYTES_MAX     2048  /* bytes kept of a name, in the object's own width */
#define FILENAME_BYTES_MAX 4096  /* bytes kept of a file name: PATH_MAX */
#define LINES_CHUNK        8192  /* bytes of a line table in one record */
#define LINES_CHUNKS_MAX   32    /* records that one line table may take */

enum record_kind {
	RECORD_SAMPLE = 1, /* struct sample_record */
	RECORD_CODE,       /* struct code_record */
	RECORD_LINES,      /* struct lines_record */
	RECORD_THREAD,     /* struct thread_record, of a thread that has ended */
	RECORD_EXEC,       /* struct process_record, of the process as it is from now on */
	RECORD_EXIT,       /* struct process_record: the last thread has ended */
	RECORD_MAPPINGS,   /* struct process_record: what it maps as executable has changed */
	RECORD_FORK, /* struct process_record of a new process, that runs what `previous` ran */
	RECORD_JOIN, /* struct process_record of one that entered the recorded cgroup, index 0 */
};

/* Opens each record. `size` is that of the whole record. */
struct record {
	__u32 kind;
	__u32 size;
	__u32 pid; /* of the process, as the host's root namespace has it */
	/*
	 * struct process_config.index: which program of which process, over the recording; never 0.
	 * User space gives those below PROCESS_INDEX_KERNEL, the kernel side the others: at an exec,
	 * and to processes that it follows.
	 */
	__u32 process;
};

#define PROCESS_INDEX_KERNEL 0x80000000

enum leaf { LEAF_PYTHON, LEAF_NATIVE, LEAF_KERNEL, LEAF_GC, LEAF_COUNT };

enum sample_flags {
	SAMPLE_CUT = 1,         /* more frames than PYTHON_FRAMES_MAX */
	SAMPLE_BROKEN = 2,      /* the outer part could not be read */
	SAMPLE_NO_THREAD = 4,   /* no Python thread state: not a Python thread, or not yet */
	SAMPLE_UNREAD = 8,      /* no stack was taken: the thread could not be looked at */
	SAMPLE_NOT_PYTHON = 16, /* the process has no known interpreter (yet) */
	SAMPLE_NATIVE =
		32, /* native frames were looked for; not if nothing is known of the process */
	SAMPLE_NATIVE_CUT = 64, /* the outer native frames are missing */
	SAMPLE_LOOK = 128, /* of a thread that was away and still is: not part of the recording */
	SAMPLE_HOLDS_GIL = 256 /* of a thread that ran and had its interpreter's lock */
};

/*
 * One Python frame. `code` and `identity` together name a code object until the next code record
 * with the same two. Where a probe tells of freed code objects identity is 0; elsewhere it is a
 * hash of what distinguishes the code object from another at the same address.
 */
struct python_frame {
	__u64 code;        /* with PYTHON_FRAME_ENTRY in its top bit */
	__s32 instruction; /* byte offset into the instructions of the one last begun; -1: none */
	__u32 identity;    /* FRAME_UNNAMED: no code record could be sent, `code` names nothing */
};
/* The frame with which a call of the interpreter's loop began: its caller is native code. */
#define PYTHON_FRAME_ENTRY (1ULL << 63)
#define FRAME_UNNAMED      0xffffffff
/* An identity too: of the interpreter's own code, which no traceback shows. */
#define FRAME_GLUE 0xfffffffe

enum target_kind { TARGET_NONE, TARGET_INET, TARGET_INET6, TARGET_UNIX, TARGET_FILE, TARGET_PIPE };

/* What a descriptor that a thread waits on leads to. Ports are in host order. */
struct wait_target {
	__u16 kind;        /* enum target_kind */
	__u16 descriptors; /* of a wait for several: how many, and this one was ready; else 0 */
	__u16 local_port;
	__u16 peer_port;
	__u8 address[16]; /* of the peer, in network order */
	__u64 inode;      /* of a file */
	/*
	 * Of a unix socket; may be cut. Of a file or pipe: its name, then those of the directories
	 * that it is in, from the inside outwards, each with a NUL, as many as there is room for; "/"
	 * is the last. One that ends with the last byte may be cut.
	 */
	char path[64];
};

#define GENERATIONS   3
#define GC_UNNUMBERED (GENERATIONS + 1) /* some generation */

/* The garbage collections of a process, in the map `collections`. */
struct collections {
	__u64 count[GENERATIONS];
	__u64 ns;
	__u64 longest_ns;
};

enum message_direction { MESSAGE_SENT, MESSAGE_RECEIVED };

/*
 * Who ended a wait. tid 0: not known. The frames are the innermost ones: of a condition's notify()
 * and what the standard library has around it the one that called it is among them.
 */
#define WAKER_FRAMES_MAX 4

struct thread_waker {
	__u32 pid; /* of its process */
	__u32 tid;
	char comm[COMM_SIZE];
	struct python_frame frames[WAKER_FRAMES_MAX]; /* if of the same process; code 0: no more */
};

/*
 * A stack with the time it stands for. A wait that was followed by a time on the run queue has
 * both. `ns` of a wait of a period or longer is exact and `waits` 1; of a shorter one, `ns` is a
 * multiple of the period, and `length_ns` says how long the captured wait really was.
 */
struct sample_record {
	struct record head;
	__u32 tid;
	__u32 state;       /* enum state */
	__u64 time_ns;     /* CLOCK_MONOTONIC at which the sample was taken */
	__u64 ns;          /* time this sample stands for; 0: only the run queue's part counts */
	__u64 length_ns;   /* length of the wait; 0 when running */
	__u64 runqueue_ns; /* the same for the time in the run queue; 0: none */
	__u64 runqueue_length_ns;
	__u64 python_thread; /* address of its PyThreadState; 0: it has none, or none was found */
	__u32 continued;     /* 1: the wait goes on from the one before and is not counted again */
	__u32 flags;         /* enum sample_flags */
	__s32 syscall;       /* number; -1: none */
	__s32 descriptor;    /* that `target` was found by; -1: none */
	__u32 leaf;          /* enum leaf */
	char comm[COMM_SIZE];
	struct wait_target target;
	/*
	 * Of a wait for the GIL: who held it when the wait, or this part of it, began and when it
	 * ended. code 0: not known.
	 */
	struct python_frame holder[2];
	struct thread_waker waker; /* of a wait for a lock or a pipe */
	char ran[COMM_SIZE];       /* what had the CPU that the thread was in the run queue for */
	__u32 gc;          /* generation that the thread collects, + 1, or GC_UNNUMBERED; 0: none */
	__u32 messages[2]; /* what the sample stands for, by enum message_direction */
	__u64 message_number; /* which of the thread's in that direction it is, from 1 on */
	__u64 grown_bytes;    /* what the sample stands for of growth of resident memory */
	__u32 gc_flag;        /* 1: it collects some generation, by the interpreter's flag */
	__u32 gc_inside;      /* how many Python frames the collection has called: finalizers */
	__u32 kernel_count;
	__u32 python_count;
	__u32 native_count;
	__u32 opcode; /* that the innermost Python frame is at, of a running thread; or: */
#define OPCODE_UNKNOWN 256
	/*
	 * python_count of struct python_frame, then native_count words as include/unwind.h has
	 * them, then kernel_count return addresses; each innermost first. Only what is used is sent.
	 */
	union {
		struct python_frame python[PYTHON_FRAMES_MAX];
		__u8 frames[FRAMES_BYTES + KERNEL_FRAMES_MAX * 8];
	};
};

/* A str object as it lies in memory: `bytes` of `width` bytes a character follow somewhere. */
struct text_part {
	__u32 width; /* 1 (Latin-1 or ASCII), 2 (UCS-2) or 4 (UCS-4) */
	__u32 bytes;
	__u32 cut; /* 1: the object is longer */
};

/* A code object's identity. name, filename and line table follow, in that order, unaligned. */
struct code_record {
	struct record head;
	__u64 code;
	__u32 identity;
	__s32 first_line;
	struct text_part name;
	struct text_part filename;
	__u32 lines_bytes; /* sent of the line table, in struct lines_record before this record */
	__u8 text[NAME_BYTES_MAX + FILENAME_BYTES_MAX];
};

/* A piece of a code object's line table. Pieces of one code object come in order and before it. */
struct lines_record {
	struct record head;
	__u64 code;
	__u32 offset;
	__u32 bytes; /* in this piece */
	__u8 data[LINES_CHUNK];
};

struct state_total {
	__u64 ns;
	__u64 waits; /* times that the thread blocked in this state */
};

/* The exact ledger of a thread, when it ends or the recording does. */
struct thread_record {
	struct record head;
	__u32 tid;
	__u32 still_away; /* of a look: 1: since the last look that sent its stack, see session.h */
	__u64 start_ns;   /* when the thread began, or the recording if that was later */
	__u64 end_ns;
	char comm[COMM_SIZE];
	struct state_total totals[STATE_COUNT];
	__u64 messages[2]; /* all, by enum message_direction */
};

/* Which file a process runs, as the kernel has it: stat() may say other things of an overlay. */
struct program_key {
	__u64 device;
	__u64 inode;
	__u64 size;
	__u64 changed_s; /* time of the last change of its content */
	__u64 changed_ns;
};

#define ARGUMENTS_BYTES_MAX 512

struct process_record {
	struct record head;
	__u32 previous; /* index that the process had before; of a fork, that of its parent */
	__u32 parent;   /* of a fork: PID of the parent */
	__u32 arguments_bytes;      /* of an exec */
	__u64 cgroup;               /* id in the cgroup hierarchy v2 */
	__u64 start_code;           /* of an exec: mm->start_code */
	struct program_key program; /* of an exec */
	__u32 verdict;              /* of an exec: enum follow_verdict; 0: not known yet */
	__u32 passed_over;          /* of an exec: 1: the process is not recorded any more */
	char arguments[ARGUMENTS_BYTES_MAX]; /* the first of argv, each with its NUL */
};

#endif
