/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the room for lists; see range_lists.h. Room comes in powers of two of blocks. What is given
 * back waits in a queue of its size; new room is cut from the end of the newest chunk.
 */
#include "capture/range_lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define CLASS_COUNT      9  /* 1 << 8 blocks hold UNWIND_RANGES_MAX ranges */
#define CHUNK_BLOCKS_MIN 32 /* of the first chunk: 16 KiB; each is twice the one before */
#define CHUNK_BLOCKS_MAX 4096
#define REST_MS          5000 /* from giving room back to using it again */

struct room {
	struct unwind_place place;
	int64_t free_ms; /* CLOCK_MONOTONIC from which on it may be used */
};

struct room_queue {
	struct room *rooms;
	uint32_t first, count, size; /* a ring */
};

struct range_lists {
	const struct unwind_maps *maps;
	uint32_t *chunk_count;
	int *descriptors; /* by chunk number; 0: not one of lists */
	uint32_t descriptor_count;
	uint32_t chunk; /* the newest */
	uint32_t blocks, used;
	uint64_t bytes;
	struct room_queue queues[CLASS_COUNT];
};

struct range_lists *range_lists_new(const struct unwind_maps *maps, uint32_t *chunk_count)
{
	struct range_lists *lists = calloc(1, sizeof(*lists));

	if (!lists)
		return NULL;
	lists->maps = maps;
	lists->chunk_count = chunk_count;
	return lists;
}

void range_lists_free(struct range_lists *lists)
{
	uint32_t i;

	if (!lists)
		return;
	for (i = 0; i < lists->descriptor_count; i++)
		if (lists->descriptors[i])
			close(lists->descriptors[i]);
	for (i = 0; i < CLASS_COUNT; i++)
		free(lists->queues[i].rooms);
	free(lists->descriptors);
	free(lists);
}

uint64_t range_lists_bytes(const struct range_lists *lists)
{
	return lists->bytes;
}

static int descriptor_keep(struct range_lists *lists, uint32_t number, int descriptor)
{
	int *grown = realloc(lists->descriptors, (number + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	memset(grown + lists->descriptor_count, 0,
	       (number + 1 - lists->descriptor_count) * sizeof(*grown));
	grown[number] = descriptor;
	lists->descriptors = grown;
	lists->descriptor_count = number + 1;
	return 0;
}

static int chunk_add(struct range_lists *lists)
{
	uint32_t number = *lists->chunk_count + 1;
	uint32_t blocks = lists->blocks ? 2 * lists->blocks : CHUNK_BLOCKS_MIN;
	int descriptor, error;

	if (blocks > CHUNK_BLOCKS_MAX)
		blocks = CHUNK_BLOCKS_MAX;
	if (number >= UNWIND_CHUNKS_MAX)
		return -E2BIG;
	error = unwind_maps_add_chunk(lists->maps, number, NULL, blocks, &descriptor);
	if (error)
		return error;
	error = descriptor_keep(lists, number, descriptor);
	if (error) {
		close(descriptor);
		return error;
	}
	*lists->chunk_count = number;
	lists->chunk = number;
	lists->blocks = blocks;
	lists->used = 0;
	lists->bytes += blocks * sizeof(struct unwind_block);
	return 0;
}

/* Takes room that was given back, if it has rested. */
static bool queue_take(struct room_queue *queue, struct unwind_place *place)
{
	const struct room *room;

	if (!queue->count)
		return false;
	room = &queue->rooms[queue->first];
	if (room->free_ms > clock_now_ms())
		return false;
	*place = room->place;
	queue->first = (queue->first + 1) % queue->size;
	queue->count--;
	return true;
}

static int room_take(struct range_lists *lists, uint32_t size_class, struct unwind_place *place)
{
	uint32_t blocks = 1U << size_class;
	int error;

	if (queue_take(&lists->queues[size_class], place))
		return 0;
	while (!lists->chunk || lists->blocks - lists->used < blocks) {
		error = chunk_add(lists);
		if (error)
			return error;
	}
	*place = (struct unwind_place){.chunk = lists->chunk, .block = lists->used};
	lists->used += blocks;
	return 0;
}

static uint32_t size_class_of(uint32_t count)
{
	uint32_t blocks = (count + UNWIND_RANGES_PER_BLOCK - 1) / UNWIND_RANGES_PER_BLOCK;
	uint32_t size_class = 0;

	while (1U << size_class < blocks)
		size_class++;
	return size_class;
}

int range_lists_take(struct range_lists *lists, const struct unwind_range *ranges, uint32_t count,
		     struct range_list *list)
{
	uint32_t size_class = size_class_of(count);
	struct range_list taken = {.size_class = size_class};
	struct unwind_block *blocks;
	int error;

	if (size_class >= CLASS_COUNT)
		return -E2BIG;
	blocks = calloc(1U << size_class, sizeof(*blocks));
	if (!blocks)
		return -ENOMEM;
	memcpy(blocks, ranges, count * sizeof(*ranges));
	error = room_take(lists, size_class, &taken.place);
	if (!error) {
		error = unwind_maps_write_blocks(lists->descriptors[taken.place.chunk],
						 taken.place.block, blocks, 1U << size_class);
		if (error)
			range_lists_give(lists, &taken);
		else
			*list = taken;
	}
	free(blocks);
	return error;
}

static int queue_grow(struct room_queue *queue)
{
	uint32_t size = queue->size ? 2 * queue->size : 8, i;
	struct room *rooms = calloc(size, sizeof(*rooms));

	if (!rooms)
		return -ENOMEM;
	for (i = 0; i < queue->count; i++)
		rooms[i] = queue->rooms[(queue->first + i) % queue->size];
	free(queue->rooms);
	queue->rooms = rooms;
	queue->first = 0;
	queue->size = size;
	return 0;
}

void range_lists_give(struct range_lists *lists, struct range_list *list)
{
	struct room_queue *queue = &lists->queues[list->size_class];

	if (list->place.chunk && (queue->count < queue->size || !queue_grow(queue))) {
		queue->rooms[(queue->first + queue->count) % queue->size] =
			(struct room){.place = list->place, .free_ms = clock_now_ms() + REST_MS};
		queue->count++;
	}
	memset(list, 0, sizeof(*list));
}
