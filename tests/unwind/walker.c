/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the product's side of the comparison; see walker.h. */
#include "walker.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/unwinder.h"
#include "config.h"
#include "native/unwind_table.h"
#include "record.h"
#include "walk.skel.h"
#include "walked.h"

#define ROOM_BYTES (1 << 16)

struct walker {
	struct walk *programs;
	struct bpf_link *link;
	struct modules *modules;
	struct unwinder *unwinder;
	struct process process;
	uint8_t bytes[ROOM_BYTES]; /* what was read last */
};

static int programs_open(struct walker *walker, struct error *error)
{
	walker->programs = walk__open_and_load();
	if (!walker->programs)
		return error_set(error, -errno, "the kernel refuses the program: %s",
				 strerror(errno));
	walker->link = bpf_program__attach_iter(walker->programs->progs.walk_stopped, NULL);
	if (!walker->link)
		return error_set(error, -errno, "cannot go through the threads: %s",
				 strerror(errno));
	return 0;
}

int walker_open(struct walker **walker, struct error *error)
{
	struct walker *opened = calloc(1, sizeof(*opened));
	struct unwind_maps maps;
	int result;

	if (!opened)
		return error_set(error, -ENOMEM, "no memory");
	result = programs_open(opened, error);
	if (!result) {
		maps = (struct unwind_maps){.chunks = opened->programs->maps.unwind_chunks,
					    .address_spaces =
						    opened->programs->maps.address_spaces};
		opened->modules = modules_new();
		opened->unwinder = unwinder_new(&maps, opened->modules);
		if (!opened->modules || !opened->unwinder)
			result = error_set(error, -ENOMEM, "no memory");
	}
	if (result)
		walker_close(opened);
	else
		*walker = opened;
	return result;
}

void walker_close(struct walker *walker)
{
	if (!walker)
		return;
	unwinder_free(walker->unwinder);
	modules_free(walker->modules);
	process_close(&walker->process);
	bpf_link__destroy(walker->link);
	walk__destroy(walker->programs);
	free(walker);
}

int walker_set_process(struct walker *walker, pid_t pid)
{
	const struct bpf_map *processes = walker->programs->maps.processes;
	struct process_config config = {.index = 1};
	uint32_t key = (uint32_t)walker->process.pid;
	struct error ignored;
	int error;

	if (walker->process.pid) {
		unwinder_remove(walker->unwinder, walker->process.pid);
		bpf_map__delete_elem(processes, &key, sizeof(key), 0);
		process_close(&walker->process);
		memset(&walker->process, 0, sizeof(walker->process));
	}
	error = process_open(pid, &walker->process, &ignored);
	if (error)
		return error;
	key = (uint32_t)pid;
	walker->programs->bss->subject_pid = key;
	error = bpf_map__update_elem(processes, &key, sizeof(key), &config, sizeof(config),
				     BPF_ANY);
	return error ? error : unwinder_add(walker->unwinder, &walker->process);
}

void walker_update(struct walker *walker)
{
	unwinder_update(walker->unwinder, walker->process.pid);
	while (unwinder_poll(walker->unwinder))
		;
}

static const char *loss_name(uint32_t loss)
{
#define LOSS_NAME(identifier, name, text) name,
	static const char *const names[] = {LOSS_LIST(LOSS_NAME)};

	return loss < LOSS_COUNT ? names[loss] : "";
}

/* Takes a stack out of what was read. Returns how many bytes it had; 0: it is not there as a whole. */
static size_t stack_parse(const uint8_t *bytes, size_t size, struct stack *stack)
{
	struct walked_head head;
	size_t words;

	if (size < sizeof(head))
		return 0;
	memcpy(&head, bytes, sizeof(head));
	words = head.count * sizeof(stack->words[0]);
	if (head.count > NATIVE_FRAMES_MAX || size - sizeof(head) < words)
		return 0;
	memcpy(stack->words, bytes + sizeof(head), words);
	stack->tid = (pid_t)head.tid;
	stack->syscall = head.syscall;
	stack->count = stack->informed = head.count;
	stack->loss = head.loss;
	stack->whole = head.flags & SAMPLE_NATIVE && !(head.flags & SAMPLE_NATIVE_CUT);
	snprintf(stack->reason, sizeof(stack->reason), "%s", loss_name(head.loss));
	return sizeof(head) + words;
}

/* Reads all there is. Returns how many stacks, or -errno. */
static int iterator_read(struct walker *walker, int iterator, struct stack *stacks, size_t room)
{
	size_t have = 0, used, size;
	int taken = 0;
	ssize_t count;

	while ((count = read(iterator, walker->bytes + have, ROOM_BYTES - have)) > 0) {
		have += (size_t)count;
		for (used = 0; (size_t)taken < room; used += size) {
			size = stack_parse(walker->bytes + used, have - used, &stacks[taken]);
			if (!size)
				break;
			taken++;
		}
		if ((size_t)taken == room)
			break;
		have -= used;
		memmove(walker->bytes, walker->bytes + used, have);
	}
	return count < 0 ? -errno : taken;
}

int walker_take(struct walker *walker, pid_t tid, struct stack *stacks, size_t room)
{
	int iterator, taken;

	walker->programs->bss->subject_tid = (uint32_t)tid;
	iterator = bpf_iter_create(bpf_link__fd(walker->link));
	if (iterator < 0)
		return iterator;
	taken = iterator_read(walker, iterator, stacks, room);
	close(iterator);
	return taken;
}

const struct unwind_range *walker_find(const struct walker *walker, uint64_t address)
{
	return unwinder_find(walker->unwinder, walker->process.pid, address);
}

void walker_describe_rule(const struct walker *walker, uint64_t word, char *text, size_t size)
{
	static const char *const kinds[] = {"unknown",   "end",      "sp",  "fp",    "sp-loaded",
					    "fp-loaded", "register", "plt", "signal"};
	uint16_t file = word >> NATIVE_ADDRESS_BITS & NATIVE_FILE_MASK;
	struct module *module = modules_find(walker->modules, file);
	struct unwind_table table;
	struct unwind_rule rule;

	snprintf(text, size, "no table");
	if (!module || unwind_table_make_file(&module->elf, &table))
		return;
	unwind_table_find(&table, word & NATIVE_ADDRESS_MASK, &rule);
	snprintf(text, size, "cfa %s %d (%d, %d), frame pointer %u at %d", kinds[rule.cfa % 9],
		 rule.offset, rule.short_offset, rule.addend, rule.frame_pointer,
		 rule.frame_pointer_at);
	unwind_table_free(&table);
}
