/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the fixed words of a recording: types, units, labels' keys, states, leaves. */
#ifndef PYEBPF_PPROF_WORDS_H
#define PYEBPF_PPROF_WORDS_H

#include "profile/profile.h"

/* What sets kernel locations apart; readers know it by this name. */
#define KERNEL_MAPPING "[kernel.kallsyms]"

/* The states and the leaves come last. */
#define WORD_LIST(WORD)                      \
	WORD(CPU, "cpu")                     \
	WORD(WAIT, "wait")                   \
	WORD(WAITS, "waits")                 \
	WORD(SENDS, "sends")                 \
	WORD(RECEIVES, "receives")           \
	WORD(GROWN, "grown")                 \
	WORD(NANOSECONDS, "nanoseconds")     \
	WORD(COUNT_UNIT, "count")            \
	WORD(BYTES, "bytes")                 \
	WORD(PROCESS, "process")             \
	WORD(PROCESS_INDEX, "process_index") \
	WORD(PID, "pid")                     \
	WORD(CONTAINER, "container")         \
	WORD(CGROUP, "cgroup")               \
	WORD(THREAD, "thread")               \
	WORD(TID, "tid")                     \
	WORD(STATE, "state")                 \
	WORD(LEAF, "leaf")                   \
	WORD(SYSCALL, "syscall")             \
	WORD(TARGET, "target")               \
	WORD(GIL_HOLDER, "gil_holder")       \
	WORD(WAKER, "waker")                 \
	WORD(WAIT_BELOW, "wait_below_ns")    \
	WORD(LONGEST, "longest_ns")          \
	WORD(KERNEL_MAPPING, KERNEL_MAPPING)

#define WORD_ENUM(identifier, text) WORD_##identifier,
enum word {
	WORD_LIST(WORD_ENUM) WORD_STATES,
	WORD_LEAVES = WORD_STATES + STATE_COUNT,
	WORD_COUNT = WORD_LEAVES + LEAF_COUNT
};
#undef WORD_ENUM

/* The text of a word, also of those of states and leaves. */
const char *word_text(enum word word);

#endif
