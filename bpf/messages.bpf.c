// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Owns counting what recorded threads send and receive on sockets: on a fast server most round
 * trips never block, so that waits do not tell how many there are. Samples are taken of many
 * messages in a row, since it shows which belong to one call of a function, and then of none for
 * some time; while messages are few, of all.
 */
#include "sample.bpf.h"

#define SENT_ROW           1024 /* messages that are sampled in a row */
#define RECEIVED_ROW       32
#define MESSAGE_PAUSE_NS   1000000000ULL /* a row and what is passed over after it take so long */
#define MESSAGE_WEIGHT_MAX 4096

/* Counts a message. Returns how many a sample of it stands for; 0: none is taken. */
static __always_inline __u32 message_count(struct message_stratum *stratum, __u32 row)
{
	__u32 weight = stratum->weight ? stratum->weight : 1;
	bool sampled = stratum->position < row;
	__u64 now;

	stratum->position++;
	if (stratum->position < weight * row)
		return sampled ? weight : 0;
	now = bpf_ktime_get_ns();
	if (now - stratum->start_ns < MESSAGE_PAUSE_NS && weight < MESSAGE_WEIGHT_MAX)
		stratum->weight = 2 * weight;
	else if (now - stratum->start_ns > 4 * MESSAGE_PAUSE_NS)
		stratum->weight = weight / 2;
	stratum->start_ns = now;
	stratum->position = 0;
	return sampled ? weight : 0;
}

static __always_inline void message_take(__u64 sock, int bytes, __u32 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = thread_find(task);
	struct sampling sampling;
	__u32 weight, first;

	if (!thread || bytes <= 0)
		return;
	first = !thread->messages[direction & 1].position;
	weight = message_count(&thread->messages[direction & 1],
			       direction == MESSAGE_SENT ? SENT_ROW : RECEIVED_ROW);
	if (!weight || sample_begin(&sampling, SCRATCH_EVENT, task))
		return;
	sampling.sample->state = STATE_RUNNING;
	if (first)
		sampling.sample->flags |= SAMPLE_ROW_BEGINS;
	sampling.sample->messages[direction & 1] = weight;
	target_read_socket((struct sock *)sock, &sampling.sample->target);
	sample_add_python(&sampling, thread, task, OWN_THREAD);
	sample_end(&sampling);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(send_message, struct sock *sock, int bytes)
{
	message_take((__u64)sock, bytes, MESSAGE_SENT);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(receive_message, struct sock *sock, int bytes)
{
	message_take((__u64)sock, bytes, MESSAGE_RECEIVED);
	return 0;
}

char license_text[] SEC("license") = "Dual BSD/GPL";
