/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the perf events for mappings of code; see mapping_events.h. */
#include "capture/mapping_events.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "python/image.h"

#define RING_PAGES 16 /* per CPU; an event takes about 100 bytes */

struct mapping_events {
	struct perf_buffer *rings;
	int map; /* libbpf keeps the rings' descriptors in one */
	uint64_t lost;
	python_mapped_handler *handler;
	void *context;
};

/* PERF_RECORD_MMAP2 of include/uapi/linux/perf_event.h, as far as it is used. */
struct mapping_event {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t address, length, offset;
	uint8_t file[24];
	uint32_t protection, flags;
	char name[];
};

struct lost_event {
	struct perf_event_header header;
	uint64_t id;
	uint64_t lost;
};

static enum bpf_perf_event_ret event_handle(void *context, int cpu,
					    struct perf_event_header *header)
{
	struct mapping_events *events = context;
	const struct mapping_event *mapping = (const struct mapping_event *)header;
	const struct lost_event *lost = (const struct lost_event *)header;

	(void)cpu;
	if (header->type == PERF_RECORD_LOST && header->size >= sizeof(*lost))
		events->lost += lost->lost;
	if (header->type != PERF_RECORD_MMAP2 || header->size <= sizeof(*mapping))
		return LIBBPF_PERF_EVENT_CONT;
	if (memchr(mapping->name, '\0', header->size - sizeof(*mapping)) &&
	    image_is_named(mapping->name))
		events->handler(events->context, (pid_t)mapping->pid);
	return LIBBPF_PERF_EVENT_CONT;
}

int mapping_events_new(python_mapped_handler *handler, void *context,
		       struct mapping_events **events)
{
	/* Of mappings only those of code are reported, without attr.mmap_data. */
	struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
					     .size = sizeof(attributes),
					     .config = PERF_COUNT_SW_DUMMY,
					     .mmap = 1,
					     .mmap2 = 1,
					     .watermark = 1,
					     .wakeup_watermark = 1};
	struct mapping_events *made = calloc(1, sizeof(*made));
	int error;

	if (!made)
		return -ENOMEM;
	made->handler = handler;
	made->context = context;
	made->map = bpf_map_create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, "mapping_events", sizeof(int),
				   sizeof(int), (uint32_t)libbpf_num_possible_cpus(), NULL);
	error = made->map < 0 ? -errno : 0;
	if (!error) {
		made->rings = perf_buffer__new_raw(made->map, RING_PAGES, &attributes, event_handle,
						   made, NULL);
		error = made->rings ? 0 : -errno;
	}
	if (error) {
		mapping_events_free(made);
		return error;
	}
	*events = made;
	return 0;
}

void mapping_events_free(struct mapping_events *events)
{
	if (!events)
		return;
	perf_buffer__free(events->rings);
	if (events->map >= 0)
		close(events->map);
	free(events);
}

void mapping_events_consume(struct mapping_events *events)
{
	if (events)
		perf_buffer__consume(events->rings);
}

int mapping_events_descriptor(const struct mapping_events *events)
{
	return events ? perf_buffer__epoll_fd(events->rings) : -1;
}

uint64_t mapping_events_lost(const struct mapping_events *events)
{
	return events ? events->lost : 0;
}
