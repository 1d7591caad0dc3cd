/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading /tmp/perf-PID.map and which of its lines counts for an address. Code is generated,
 * freed and generated again at the same place, and the map only grows, so pieces overlap. They are
 * taken apart once into stretches of addresses that belong to one piece each.
 */
#include "native/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/name.h"
#include "profile/utf8.h"

#define TEXT_SIZE_MAX (64UL << 20)
#define PIECES_MAX    (1U << 20) /* 64 MiB hold no more lines that are of any use */

struct piece {
	uint64_t start;
	uint32_t size;
	uint32_t name; /* offset in the text; so it also tells which of two was written later */
};

/* Addresses in a row that belong to one piece. */
struct stretch {
	uint64_t start;
	uint32_t size;
	uint32_t piece; /* index */
};

struct perf_map {
	char *text; /* names end in a NUL each */
	size_t text_size;
	struct piece *pieces; /* by start */
	size_t piece_count;
	struct stretch *stretches; /* by address, not overlapping */
	size_t stretch_count;
};

/* The pieces that reach to the place at hand: a binary heap, the latest line on top. */
struct heap {
	const struct piece *pieces;
	uint32_t *items;
	size_t count;
};

static bool heap_before(const struct heap *heap, size_t one, size_t other)
{
	return heap->pieces[heap->items[one]].name > heap->pieces[heap->items[other]].name;
}

static void heap_swap(struct heap *heap, size_t one, size_t other)
{
	uint32_t item = heap->items[one];

	heap->items[one] = heap->items[other];
	heap->items[other] = item;
}

static void heap_push(struct heap *heap, uint32_t piece)
{
	size_t at = heap->count++;

	heap->items[at] = piece;
	for (; at && heap_before(heap, at, (at - 1) / 2); at = (at - 1) / 2)
		heap_swap(heap, at, (at - 1) / 2);
}

static void heap_pop(struct heap *heap)
{
	size_t at = 0, child;

	heap->items[0] = heap->items[--heap->count];
	for (; (child = 2 * at + 1) < heap->count; at = child) {
		if (child + 1 < heap->count && heap_before(heap, child + 1, child))
			child++;
		if (!heap_before(heap, child, at))
			break;
		heap_swap(heap, child, at);
	}
}

static uint64_t piece_end(const struct piece *piece)
{
	return piece->start + piece->size;
}

static void stretch_append(struct perf_map *map, uint64_t start, uint64_t end, uint32_t piece)
{
	struct stretch *last = map->stretch_count ? &map->stretches[map->stretch_count - 1] : NULL;

	if (last && last->piece == piece && last->start + last->size == start)
		last->size += (uint32_t)(end - start);
	else
		map->stretches[map->stretch_count++] = (struct stretch){
			.start = start, .size = (uint32_t)(end - start), .piece = piece};
}

/* Makes the stretches from `*at` to `limit` out of the pieces that are open. */
static void stretches_until(struct perf_map *map, struct heap *open, uint64_t *at, uint64_t limit)
{
	while (open->count && *at < limit) {
		uint64_t end = piece_end(&map->pieces[open->items[0]]);

		if (end <= *at) {
			heap_pop(open);
			continue;
		}
		if (end > limit)
			end = limit;
		stretch_append(map, *at, end, open->items[0]);
		*at = end;
	}
	*at = limit;
}

/* Each piece starts one stretch and ends one at most, so there are not more than two of each. */
static int stretches_make(struct perf_map *map)
{
	struct heap open = {.pieces = map->pieces};
	struct stretch *smaller;
	uint64_t at = 0;

	map->stretches = malloc((2 * map->piece_count + 1) * sizeof(*map->stretches));
	open.items = malloc((map->piece_count + 1) * sizeof(*open.items));
	if (!map->stretches || !open.items) {
		free(open.items);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < map->piece_count; i++) {
		stretches_until(map, &open, &at, map->pieces[i].start);
		heap_push(&open, i);
	}
	stretches_until(map, &open, &at, UINT64_MAX);
	free(open.items);
	smaller = realloc(map->stretches, (map->stretch_count + 1) * sizeof(*smaller));
	if (smaller)
		map->stretches = smaller;
	return 0;
}

/* Reads a hexadecimal number, perhaps after 0x, that a space follows, and steps past that. */
static bool number_parse(char **at, uint64_t *value)
{
	uint64_t result = 0;
	int digits = 0;

	if ((*at)[0] == '0' && (*at)[1] == 'x')
		*at += 2;
	for (;; (*at)++, digits++) {
		char c = **at;

		if (c >= '0' && c <= '9')
			c = (char)(c - '0');
		else if (c >= 'a' && c <= 'f')
			c = (char)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 10);
		else
			break;
		if (result >> 60)
			return false;
		result = result << 4 | (uint64_t)c;
	}
	if (!digits || **at != ' ')
		return false;
	(*at)++;
	*value = result;
	return true;
}

static bool line_parse(char *line, const char *text, struct piece *piece)
{
	uint64_t start, size;

	if (!number_parse(&line, &start) || !number_parse(&line, &size) || !size ||
	    size > UINT64_MAX - start || !*line)
		return false;
	name_cut(line);
	piece->start = start;
	piece->size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
	piece->name = (uint32_t)(line - text);
	return true;
}

static int piece_append(struct perf_map *map, size_t *capacity, const struct piece *piece)
{
	if (map->piece_count == *capacity) {
		size_t larger = *capacity ? *capacity * 2 : 1024;
		struct piece *grown = realloc(map->pieces, larger * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		map->pieces = grown;
		*capacity = larger;
	}
	map->pieces[map->piece_count++] = *piece;
	return 0;
}

/* A line without an end is still being written. */
static int lines_parse(struct perf_map *map)
{
	size_t capacity = 0;

	for (char *line = map->text, *end; (end = strchr(line, '\n')); line = end + 1) {
		struct piece piece;

		*end = '\0';
		if (!line_parse(line, map->text, &piece))
			continue;
		if (map->piece_count == PIECES_MAX)
			break;
		if (piece_append(map, &capacity, &piece))
			return -ENOMEM;
	}
	return 0;
}

static int compare_pieces(const void *one, const void *other)
{
	const struct piece *left = one, *right = other;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	return (left->name > right->name) - (left->name < right->name);
}

static bool is_ascii(const char *text, size_t size)
{
	unsigned char bits = 0;

	for (size_t i = 0; i < size; i++)
		bits |= (unsigned char)text[i];
	return bits < 0x80;
}

/* Makes the whole text valid at once: names lie in it. A NUL would end it. */
static int text_repair(char **text, size_t size)
{
	char *repaired, *nul = *text;

	while ((nul = memchr(nul, '\0', size - (size_t)(nul - *text))))
		*nul = '\xff';
	if (is_ascii(*text, size) || utf8_valid(*text))
		return 0;
	repaired = utf8_repair(*text);
	if (!repaired)
		return -ENOMEM;
	free(*text);
	*text = repaired;
	return 0;
}

static bool is_sorted(const struct piece *pieces, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (pieces[i].start < pieces[i - 1].start)
			return false;
	return true;
}

/* Takes over the text, which a NUL follows. */
static int perf_map_make(char *text, size_t size, struct perf_map **map)
{
	struct perf_map *made = calloc(1, sizeof(*made));
	int error;

	if (!made) {
		free(text);
		return -ENOMEM;
	}
	made->text = text;
	made->text_size = size;
	error = text_repair(&made->text, size);
	if (!error)
		error = lines_parse(made);
	if (!error && !is_sorted(made->pieces, made->piece_count))
		qsort(made->pieces, made->piece_count, sizeof(*made->pieces), compare_pieces);
	if (!error)
		error = stretches_make(made);
	if (error)
		perf_map_free(made);
	else
		*map = made;
	return error;
}

int perf_map_parse(const char *text, size_t size, struct perf_map **map)
{
	char *copy;

	if (size > TEXT_SIZE_MAX)
		size = TEXT_SIZE_MAX;
	copy = malloc(size + 1);
	if (!copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, text, size);
	copy[size] = '\0';
	return perf_map_make(copy, size, map);
}

/* What the process is called in its own pid namespace, and who it is. */
static int identity_read(const struct process *process, int *number, uid_t *user)
{
	char path[64], *text;
	const char *line;
	size_t size;
	int error, step;

	snprintf(path, sizeof(path), "/proc/%d/status", process->pid);
	error = file_read_whole(path, 1 << 20, &text, &size);
	if (error)
		return error;
	*number = process->pid; /* kernels before 4.1 do not say */
	line = strstr(text, "\nNSpid:");
	if (line)
		for (line += strlen("\nNSpid:"); sscanf(line, "%d%n", number, &step) == 1;)
			line += step;
	line = strstr(text, "\nUid:");
	if (!line || sscanf(line, "\nUid: %*u %u", user) != 1)
		error = -EINVAL;
	free(text);
	return error;
}

/* Opens a file that somebody else can have put there: not through a link, not waiting for it. */
static int map_open(const struct process *process, int number, uid_t user)
{
	char name[64], path[PROCESS_PATH_SIZE];
	struct stat status;
	int fd, error;

	snprintf(name, sizeof(name), "/tmp/perf-%d.map", number);
	error = process_root_path(process, name, path, sizeof(path));
	if (error)
		return error;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	if (fstat(fd, &status))
		error = -errno;
	else if (!S_ISREG(status.st_mode) || (status.st_uid && status.st_uid != user))
		error = -EPERM;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

int perf_map_read(const struct process *process, struct perf_map **map)
{
	char path[64], *text;
	int number, fd, error;
	uid_t user;
	size_t size;

	error = identity_read(process, &number, &user);
	if (error)
		return error;
	fd = map_open(process, number, user);
	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error = file_read_whole(path, TEXT_SIZE_MAX, &text, &size);
	close(fd);
	return error ? error : perf_map_make(text, size, map);
}

void perf_map_free(struct perf_map *map)
{
	if (!map)
		return;
	free(map->stretches);
	free(map->pieces);
	free(map->text);
	free(map);
}

size_t perf_map_bytes(const struct perf_map *map)
{
	return map->text_size + map->piece_count * sizeof(*map->pieces) +
	       map->stretch_count * sizeof(*map->stretches);
}

const char *perf_map_find(const struct perf_map *map, uint64_t address, uint64_t *start)
{
	size_t low = 0, high = map->stretch_count;
	const struct piece *piece;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->stretches[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || address - map->stretches[low - 1].start >= map->stretches[low - 1].size)
		return NULL;
	piece = &map->pieces[map->stretches[low - 1].piece];
	*start = piece->start;
	return map->text + piece->name;
}
