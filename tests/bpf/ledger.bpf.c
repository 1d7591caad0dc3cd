// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns the test programs that know nothing of the machine's own threads: a ledger that is led
 * through made-up events of a scheduler, and the set of known code objects with made-up keys.
 */
#include "mechanisms.bpf.h"

struct ledger_event ledger_events[LEDGER_EVENTS_MAX] = {};
__u32 ledger_event_count = 0;
struct ledger_result ledger_result = {};
__u64 code_keys_first = 0;
__u64 code_keys_count = 0;
__u64 code_keys_held = 0;
__u64 code_keys_wrong = 0;

static struct thread made_thread;

static __always_inline void ledger_enroll(struct thread *thread, const struct ledger_event *event)
{
	__builtin_memset(thread, 0, sizeof(*thread));
	thread->start_ns = event->now;
	thread->since_ns = event->now;
	thread->executed_ns = event->value;
	thread->state = STATE_UNKNOWN;
	thread->mode = event->mode;
}

static __always_inline void ledger_leave(struct thread *thread, const struct ledger_event *event)
{
	bool blocks = event->state != STATE_COUNT;

	ledger_switch_out(thread, event->value, blocks, event->now);
	if (!blocks)
		return;
	thread->continued = 0;
	thread->state = event->state;
	if (event->state != STATE_GIL)
		thread->gil_pause_ns = 0;
}

static __always_inline void ledger_wait_gil(struct thread *thread, const struct ledger_event *event)
{
	struct syscall call = {.number = 0, .arguments = {0, FUTEX_COMMAND_WAIT_BITSET, 0, 0}};

	call.arguments[3] = event->value;
	thread->state = STATE_GIL;
	gil_wait_begin(thread, &call, event->now, OWN_THREAD);
}

static __always_inline void captured_add(__u32 group, __u32 state, __u64 ns, __u64 length)
{
	if (group >= LEDGER_GROUPS || state >= STATE_COUNT || !ns)
		return;
	ledger_result.captured_ns[group][state] += ns;
	ledger_result.captured_length_ns[group][state] = length;
	ledger_result.captures[group][state]++;
}

/* What thread_return() of bpf/offcpu.bpf.c does, with the state told instead of found. */
static __always_inline void ledger_take(struct thread *thread, const struct ledger_event *event)
{
	if (thread->unknown_ns && event->state < STATE_COUNT) {
		__u64 unknown = thread->unknown_ns;

		thread->state = event->state;
		thread->unknown_ns = 0;
		ledger_wait_end(thread, thread->state, unknown);
	}
	captured_add(event->group, thread->state, thread->capture.ns, thread->capture.length_ns);
	captured_add(event->group, STATE_RUNQUEUE, thread->capture.runqueue_ns,
		     thread->capture.runqueue_length_ns);
	__builtin_memset(&thread->capture, 0, sizeof(thread->capture));
}

static long ledger_step(__u32 index, void *context)
{
	const struct ledger_event *event = &ledger_events[index & (LEDGER_EVENTS_MAX - 1)];
	struct thread *thread = &made_thread;

	switch (event->kind) {
	case LEDGER_ENROLL:
		ledger_enroll(thread, event);
		break;
	case LEDGER_OUT:
		ledger_leave(thread, event);
		break;
	case LEDGER_GIL_WAIT:
		ledger_wait_gil(thread, event);
		break;
	case LEDGER_WAKE:
		ledger_wake(thread, event->now);
		break;
	case LEDGER_IN:
		ledger_switch_in(thread, event->value, event->now);
		break;
	case LEDGER_TAKE:
		ledger_take(thread, event);
		break;
	case LEDGER_AWAY_END:
		ledger_away_end(thread, thread->mode == THREAD_BLOCKED, event->now);
		break;
	case LEDGER_RUN_END:
		ledger_run_end(thread, event->value, event->now);
		break;
	}
	return 0;
}

/* Plays ledger_events to the made-up thread; what was captured adds up over runs. */
SEC("raw_tp")
int ledger_play(void *context)
{
	bpf_loop(ledger_event_count, ledger_step, NULL, 0);
	ledger_result.start_ns = made_thread.start_ns;
	ledger_result.since_ns = made_thread.since_ns;
	ledger_result.unknown_ns = made_thread.unknown_ns;
	ledger_result.mode = made_thread.mode;
	ledger_result.state = made_thread.state;
	ledger_result.continued = made_thread.continued;
	ledger_result.sequence = made_thread.sequence;
	__builtin_memcpy(ledger_result.totals, made_thread.totals, sizeof(made_thread.totals));
	return 0;
}

static long code_keys_add_step(__u32 index, void *context)
{
	struct code_set *set = code_set_find();
	__u64 key = code_keys_first + index;

	if (!set)
		return 1;
	code_keys_wrong += code_set_holds(set, key);
	code_set_add(set, key);
	code_keys_held += code_set_holds(set, key);
	return 0;
}

/* Adds keys one after the other, each of which must be new before and known after. */
SEC("raw_tp")
int code_keys_add(void *context)
{
	bpf_loop(code_keys_count, code_keys_add_step, NULL, 0);
	return 0;
}

static long code_keys_count_step(__u32 index, void *context)
{
	struct code_set *set = code_set_find();

	if (!set)
		return 1;
	code_keys_held += code_set_holds(set, code_keys_first + index);
	return 0;
}

SEC("raw_tp")
int code_keys_count_held(void *context)
{
	bpf_loop(code_keys_count, code_keys_count_step, NULL, 0);
	return 0;
}

static long code_keys_remove_step(__u32 index, void *context)
{
	struct code_set *set = code_set_find();
	__u64 key = code_keys_first + index;

	if (!set)
		return 1;
	code_set_remove(set, key);
	code_keys_wrong += code_set_holds(set, key);
	return 0;
}

SEC("raw_tp")
int code_keys_remove(void *context)
{
	bpf_loop(code_keys_count, code_keys_remove_step, NULL, 0);
	return 0;
}

/* What free_code() of bpf/tasks.bpf.c does, for the code object with this address. */
__u64 freed_code = 0;

SEC("raw_tp")
int code_free(void *context)
{
	struct process_config *process = process_find(bpf_get_current_task_btf());
	struct code_set *known = code_set_find();

	if (!process || !known)
		return 1;
	code_set_remove(known, code_key(process, freed_code, 0));
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
