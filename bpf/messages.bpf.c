// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns counting what recorded threads send and receive on sockets: on a fast server most round
 * trips never block, so that waits do not tell how many there are. All are counted. Which function
 * they are of is sampled: of each thread many messages in a row, since that shows which of them
 * belong to one call of a function, and then none for some time; while messages are few, all.
 *
 * How many are passed over is one number for all threads, so that the cost is bounded however many
 * there are. When it changes a thread begins anew at a random point of row and pause together, so
 * that each message is sampled with a probability of 1 / weight.
 */
#include "sample.bpf.h"

#define SENT_ROW           1024 /* messages that are sampled in a row: of several calls */
#define RECEIVED_ROW       64
#define SENT_BUDGET        2048 /* messages to sample in a window, of all threads */
#define RECEIVED_BUDGET    256
#define MESSAGE_WINDOW_NS  1000000000ULL
#define MESSAGE_WEIGHT_MAX 4096

/* How often messages come in one direction. Changed without locks: all of it is an estimate. */
struct message_rate {
	__u64 start_ns; /* of the window */
	__u64 count;    /* since then */
	__u32 weight;   /* of each sampled message; 0: 1 */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); /* by enum message_direction */
	__type(key, __u32);
	__type(value, struct message_rate);
} message_rates SEC(".maps");

/* Counts a message. Returns the weight that sampled ones have from now on. */
static __always_inline __u32 message_rate_count(struct message_rate *rate, __u64 budget)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 count = __sync_fetch_and_add(&rate->count, 1) + 1;
	__u32 weight = rate->weight ? rate->weight : 1;

	if (count > budget * weight && weight < MESSAGE_WEIGHT_MAX)
		rate->weight = 2 * weight;
	if (now - rate->start_ns < MESSAGE_WINDOW_NS)
		return rate->weight ? rate->weight : 1;
	if (count < budget * weight / 4 && weight > 1)
		rate->weight = weight / 2;
	rate->count = 0;
	rate->start_ns = now;
	return rate->weight ? rate->weight : 1;
}

/* Moves on by a message. Returns how many a sample of it stands for; 0: none is taken. */
static __always_inline __u32 message_row_advance(struct message_row *messages, __u32 row,
						 __u32 weight)
{
	__u32 position;

	messages->count++;
	if (messages->weight != weight) {
		messages->weight = weight;
		messages->position = weight > 1 ? bpf_get_prandom_u32() % (weight * row) : 0;
	}
	position = messages->position++;
	if (messages->position >= weight * row)
		messages->position = 0;
	return position < row ? weight : 0;
}

/* Counts a message. Returns whether it is to be sampled. */
static __always_inline bool message_count(int bytes, __u32 direction)
{
	struct thread *thread = thread_find(bpf_get_current_task_btf());
	bool sent = direction == MESSAGE_SENT;
	struct message_rate *rate;
	__u32 weight;

	if (!thread || bytes <= 0)
		return false;
	rate = bpf_map_lookup_elem(&message_rates, &direction);
	if (!rate)
		return false;
	thread->message_direction = direction;
	weight = message_rate_count(rate, sent ? SENT_BUDGET : RECEIVED_BUDGET);
	return message_row_advance(&thread->messages[direction & 1], sent ? SENT_ROW : RECEIVED_ROW,
				   weight);
}

static __always_inline void message_sample(__u64 sock)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);
	const struct message_row *messages;
	struct sampling sampling;

	if (!thread || sample_begin(&sampling, SCRATCH_EVENT, task))
		return;
	messages = &thread->messages[thread->message_direction & 1];
	sampling.sample->state = STATE_RUNNING;
	sampling.sample->messages[thread->message_direction & 1] = messages->weight;
	sampling.sample->message_number = messages->count;
	target_read_socket((struct sock *)sock, &sampling.sample->target);
	sample_add_python(&sampling, thread, task, OWN_THREAD);
	sample_end(&sampling);
}

/*
 * One program takes the samples of both directions, since the verifier's work on it is a good part
 * of what the start of a recording takes. Both tracepoints are of one prototype, which tail calls
 * demand. User space puts sample_message in here.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} message_sampler SEC(".maps");

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_message, struct sock *sock, int bytes)
{
	if (message_count(bytes, MESSAGE_SENT))
		bpf_tail_call(ctx, &message_sampler, 0);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(receive_message, struct sock *sock, int bytes)
{
	if (message_count(bytes, MESSAGE_RECEIVED))
		bpf_tail_call(ctx, &message_sampler, 0);
	return 0;
}

/* Reached from the two above alone. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(sample_message, struct sock *sock)
{
	message_sample((__u64)sock);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
