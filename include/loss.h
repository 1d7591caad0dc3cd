/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns the reasons for which something that happened is missing from a recording. Each is counted
 * where it happens, in the kernel or in user space, and every output shows the counts.
 */
#ifndef PYEBPF_LOSS_H
#define PYEBPF_LOSS_H

/* LOSS(identifier, name, text): the name is a key of `lost` in the JSON report. */
#define LOSS_LIST(LOSS)                                                                            \
	LOSS(RING_FULL, "ring_full", "samples dropped: the ring buffer was full")                  \
	LOSS(NESTED, "nested", "samples dropped: a sample was being taken on that CPU")            \
	LOSS(RECURSION, "recursion", "events the kernel did not deliver: program already running") \
	LOSS(SWITCH, "switch", "waits without a stack: the kernel did not report their end")       \
	LOSS(THREAD_STORAGE, "thread_storage", "threads not followed: no memory for their ledger") \
	LOSS(PROCESS, "process", "processes not followed: there are too many at a time")           \
	LOSS(THREAD_RECORD, "thread_record", "ledgers of ended threads dropped: ring buffer full") \
	LOSS(STACK_CUT, "stack_cut", "stacks cut: deeper than the profiler keeps")                 \
	LOSS(FRAME_UNREADABLE, "frame_unreadable", "stacks cut: a frame could not be read")        \
	LOSS(FRAME_INVALID, "frame_invalid", "stacks cut: a frame held no code object")            \
	LOSS(CODE_UNNAMED, "code_unnamed", "frames without a name: code object not readable")      \
	LOSS(NAME_CUT, "name_cut", "names cut: longer than the profiler keeps")                    \
	LOSS(LINES_CUT, "lines_cut", "line tables cut: too long, or not readable then")            \
	LOSS(LINE_TABLE, "line_table", "frames without a line: line table not valid")              \
	LOSS(THREAD_STATE, "thread_state", "stacks missing: interpreter's threads not readable")   \
	LOSS(NATIVE_CUT, "native_cut", "native stacks cut: deeper than the profiler keeps")        \
	LOSS(NATIVE_UNREADABLE, "native_unreadable", "native stacks cut: memory not readable")     \
	LOSS(NATIVE_UNKNOWN, "native_unknown", "native stacks cut: code without unwind tables")    \
	LOSS(NATIVE_PENDING, "native_pending", "native stacks cut: unwind tables not ready yet")   \
	LOSS(NATIVE_UNMAPPED, "native_unmapped", "native stacks cut: code in no known file")       \
	LOSS(NATIVE_INVALID, "native_invalid", "native stacks cut: the frames do not ascend")      \
	LOSS(WAIT_STACK, "wait_stack",                                                             \
	     "waits without a stack: the thread moved while it was read")                          \
	LOSS(MAPPING, "mapping", "mappings not seen, perhaps of a late interpreter")               \
	LOSS(RECORD_INVALID, "record_invalid", "records not understood by the profiler")

#define LOSS_ENUM(identifier, name, text) LOSS_##identifier,
enum loss { LOSS_LIST(LOSS_ENUM) LOSS_COUNT };
#undef LOSS_ENUM

#endif
