/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns what is remembered of each thread of a recorded process, in the thread's own task storage:
 * a thread that has none is nobody's business and costs one look-up.
 */
#ifndef PYEBPF_THREAD_BPF_H
#define PYEBPF_THREAD_BPF_H

#include "config.bpf.h"
#include "record.h"

enum thread_mode {
	THREAD_NEW, /* storage was just made, or the process is passed over by now */
	THREAD_RUNNING,
	THREAD_RUNNABLE, /* since since_ns in the run queue */
	THREAD_BLOCKED,  /* since since_ns, until woken_ns if that is later */
	THREAD_CLOSED,   /* its ledger has been handed over */
};

/* The state of a wait that began before the recording: read when the thread comes back. */
#define STATE_UNKNOWN STATE_COUNT

/* Where the next captured one of the short waits in a state lies, see ledger.bpf.h. */
struct stratum {
	__u32 position; /* ns into the stratum, below period_ns */
	__u32 point;    /* ns into the stratum at which a wait is captured */
};

/* A thread's messages in one direction, and which of them are sampled: see messages.bpf.c. */
struct message_row {
	__u64 count;    /* of all */
	__u32 weight;   /* row's lengths from its start to the next one's; 0: none has begun */
	__u32 position; /* of the next message, from the row's start on */
};

#define GROWTH_STRATUM (256 << 10) /* bytes of resident memory that a sample stands for, at least */

/* How a thread's resident memory grows, see growth.bpf.c. */
struct growth {
	__u64 stratum_ns; /* when the stratum began */
	__u32 stratum;    /* its bytes; 0: not begun yet */
	__u32 position;   /* bytes into it, below `stratum` */
	__u32 point;      /* 1 to `stratum`: that a sample is taken at */
	__u32 pad;
};

/* What to capture when the thread is next in its own context. Zero: nothing. */
struct capture {
	__u64 ns; /* see struct sample_record */
	__u64 length_ns;
	__u64 runqueue_ns;
	__u64 runqueue_length_ns;
};

struct thread {
	__u64 start_ns; /* CLOCK_MONOTONIC, as all here */
	__u64 since_ns; /* start of the interval that is not yet in the totals */
	__u64 woken_ns;
	__u64 executed_ns; /* the kernel's count of time on a CPU, at since_ns */
	/* Of the time just before it got its CPU: in the totals of STATE_RUNQUEUE, and of `state`. */
	__u64 queued_ns;
	__u64 blocked_ns;
	__s64 ahead_ns;   /* by how much totals[STATE_RUNNING] is ahead of the kernel's count */
	__u32 mode;       /* enum thread_mode */
	__u32 state;      /* enum state of the wait, when blocked */
	__u32 sequence;   /* odd while the ledger is being changed */
	__u32 task_state; /* the kernel's, when it blocked */
	__u32 in_io_wait;
	__s32 syscall;    /* of the wait; -1: none */
	__s32 descriptor; /* that it is for; -1: none, or several */
	__u32 continued;
	__u64 unknown_ns;      /* length of a wait in STATE_UNKNOWN that has ended */
	__u64 gil_deadline_ns; /* of the wait for the GIL, if it has one; else 0 */
	__u64 gil_began_ns;    /* when that wait began */
	__u64 gil_ended_ns;    /* when the thread had a CPU again after it */
	__u64 gil_pause_ns;    /* see gil_wait_begin(); 0: the last wait was not for the GIL */
	struct capture capture;
	/* Known until proven otherwise, see python.bpf.h. */
	__u64 python_thread;       /* address of its PyThreadState; 0: not known */
	__u64 python_interpreter;  /* that was the first in the list when it was found */
	__u64 gil;                 /* struct _gil_runtime_state * that it waited for last */
	struct thread_waker waker; /* of the wait that ended last */
	char ran[COMM_SIZE];       /* see struct sample_record */
	__u32 gc;                  /* see struct sample_record */
	__u32 gc_nested;           /* the same of one inside it, for another interpreter */
	__u64 gc_start_ns;
	__u64 gc_return_at; /* address of the collector's return address; 0: nothing hides it */
	__u64 gc_return;
	__u64 gc_statistics;          /* address of the interpreter's own counters; 0: not known */
	__u64 gc_counts[GENERATIONS]; /* what they were when it began */
	__u64 gc_frame;               /* the innermost Python frame when it began; 0: not known */
	struct message_row messages[2]; /* by enum message_direction */
	__u64 message_direction;        /* of the message that is being sampled */
	struct growth growth;
	struct python_frame gil_holder; /* when the wait began; code 0: not known */
	__u64 searched_ns;              /* when python_thread was last looked for in vain */
	__u64 looked_ns;                /* when its stack was last sent by a look */
	struct stratum strata[STATE_COUNT];
	struct state_total totals[STATE_COUNT];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads __weak SEC(".maps");

/* NULL: not a recorded thread, or one whose storage is being made or has been handed over. */
static __always_inline struct thread *thread_find(struct task_struct *task)
{
	struct thread *thread;

	/* Most threads of a machine have no storage of any kind: then no helper need be called. */
	if (!task->bpf_storage)
		return NULL;
	thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (!thread || thread->mode == THREAD_NEW || thread->mode == THREAD_CLOSED)
		return NULL;
	return thread;
}

static __always_inline __u32 task_state_read(struct task_struct *task)
{
	struct task_struct___state *old = (void *)task;

	if (bpf_core_field_exists(old->state))
		return old->state;
	return task->__state;
}

#endif
