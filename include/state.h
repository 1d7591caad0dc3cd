/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the states of the ledger: every nanosecond of every thread of a profiled process is charged
 * to exactly one of them. Leaves to bpf/wait.bpf.h how a state is found, to user/views what is
 * made of it.
 */
#ifndef PYEBPF_STATE_H
#define PYEBPF_STATE_H

/*
 * STATE(identifier, name, class): the name is part of recordings and of the JSON report and must
 * not change. The order is the index into every per-state array on both sides.
 */
#define STATE_LIST(STATE)                                                                         \
	STATE(RUNNING, "running", CPU)   /* on a CPU */                                           \
	STATE(RUNQUEUE, "runqueue", CPU) /* runnable, waiting for a CPU */                        \
	STATE(SOCKET, "socket", IO)      /* sending, receiving, connecting; polling one socket */ \
	STATE(FILE, "file", IO)          /* regular file, directory, block device */              \
	STATE(PIPE, "pipe", IO)          /* pipe, FIFO, terminal, eventfd or the like */          \
	STATE(FAULT, "fault", IO)        /* major page fault */                                   \
	STATE(POLL, "poll", IO)          /* poll, select, epoll over many descriptors */          \
	STATE(ACCEPT, "accept", IDLE)    /* a new client: accept, or polling listeners only */    \
	STATE(GIL, "gil", LOCK)          /* the interpreter's global lock */                      \
	STATE(LOCK, "lock", LOCK)        /* any other futex */                                    \
	STATE(SLEEP, "sleep", IDLE)      /* a time-out and nothing else to end it */              \
	STATE(CHILD, "child", IDLE)      /* a child process */                                    \
	STATE(STOPPED, "stopped", IDLE)  /* by a signal or a tracer */                            \
	STATE(OTHER, "other", OTHER)     /* blocked, and none of the above */

#define STATE_ENUM(identifier, name, class) STATE_##identifier,
enum state { STATE_LIST(STATE_ENUM) STATE_COUNT };
#undef STATE_ENUM

enum state_class { CLASS_CPU, CLASS_IO, CLASS_LOCK, CLASS_IDLE, CLASS_OTHER, CLASS_COUNT };

#endif
