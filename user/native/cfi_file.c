/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns finding single functions in a file, by the index that linkers make (.eh_frame_hdr: LSB core
 * specification 5.0, chapter 10.6.2) and that PT_GNU_EH_FRAME points to. Of .eh_frame only the
 * entries that are asked for are read.
 */
#include <dwarf.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "native/cfi.h"

#define COMMON_ENTRY_MAX   512       /* bytes of a CIE with its length */
#define FUNCTION_ENTRY_MAX (1 << 17) /* bytes of an FDE with its length */
#define CODE_CHUNK         65536     /* bytes of a function that are read at a time */
#define CODE_MAX           (1 << 24) /* bytes of a function that are searched for jumps */
#define LOOKUPS_MAX        2048      /* jumps out of a function that are followed */
#define ENTRIES_MAX        (1 << 22) /* functions of a file without section headers */

/* How .eh_frame_hdr begins, with the encodings that all linkers choose. */
struct index_header {
	uint8_t version;
	uint8_t frames_encoding;
	uint8_t count_encoding;
	uint8_t table_encoding;
	int32_t frames; /* .eh_frame, relative to this field */
	uint32_t count;
};

/* An entry of its table: relative to the header; ascending by start. */
struct index_entry {
	int32_t start;
	int32_t entry;
};

struct index {
	const struct elf_file *file;
	uint64_t address; /* of the header */
	uint64_t frames;
	uint64_t table; /* offset in the file */
	uint32_t count;
};

static int segment_find(const struct elf_file *file, uint32_t type, Elf64_Phdr *segment)
{
	Elf64_Ehdr header;
	int error = elf_read(file, 0, &header, sizeof(header));

	if (error)
		return error;
	if (header.e_phentsize != sizeof(*segment))
		return header.e_phnum ? -EINVAL : -ENOENT;
	for (uint64_t i = 0; i < header.e_phnum; i++) {
		error = elf_read(file, header.e_phoff + i * sizeof(*segment), segment,
				 sizeof(*segment));
		if (error)
			return error;
		if (segment->p_type == type)
			return 0;
	}
	return -ENOENT;
}

static int index_open(const struct elf_file *file, struct index *index)
{
	struct index_header header;
	Elf64_Phdr segment;
	int error = segment_find(file, PT_GNU_EH_FRAME, &segment);

	if (!error)
		error = elf_read(file, segment.p_offset, &header, sizeof(header));
	if (error)
		return error;
	if (header.version != 1 || header.frames_encoding != (DW_EH_PE_pcrel | DW_EH_PE_sdata4) ||
	    header.count_encoding != DW_EH_PE_udata4 ||
	    header.table_encoding != (DW_EH_PE_datarel | DW_EH_PE_sdata4))
		return -EINVAL;
	if (segment.p_filesz < sizeof(header) ||
	    header.count > (segment.p_filesz - sizeof(header)) / sizeof(struct index_entry))
		return -EINVAL;
	*index = (struct index){
		.file = file,
		.address = segment.p_vaddr,
		.frames = segment.p_vaddr + offsetof(struct index_header, frames) +
			  (uint64_t)header.frames,
		.table = segment.p_offset + sizeof(header),
		.count = header.count,
	};
	return 0;
}

static int index_read(const struct index *index, uint32_t at, uint64_t *start, uint64_t *entry)
{
	struct index_entry read;
	int error = elf_read(index->file, index->table + at * sizeof(read), &read, sizeof(read));

	if (error)
		return error;
	*start = index->address + (uint64_t)read.start;
	*entry = index->address + (uint64_t)read.entry;
	return 0;
}

/* Finds the entry of the last function that starts at or below an address. */
static int index_find(const struct index *index, uint64_t address, uint64_t *entry)
{
	uint32_t low = 0, high = index->count;
	int error = -ENOENT;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint64_t start, found;
		int failed = index_read(index, middle, &start, &found);

		if (failed)
			return failed;
		if (start > address) {
			high = middle;
			continue;
		}
		low = middle + 1;
		*entry = found;
		error = 0;
	}
	return error;
}

/* Reads the length of the entry at an offset; *size includes itself, *id is where its id is. */
static int entry_measure(const struct elf_file *file, uint64_t offset, uint64_t *size, uint64_t *id)
{
	uint32_t length;
	uint64_t long_length;
	int error = elf_read(file, offset, &length, sizeof(length));

	if (error)
		return error;
	*id = sizeof(length);
	*size = sizeof(length) + (uint64_t)length;
	if (length != UINT32_MAX)
		return 0;
	error = elf_read(file, offset + sizeof(length), &long_length, sizeof(long_length));
	if (error)
		return error;
	*id += sizeof(long_length);
	*size = *id + long_length;
	return long_length > file->size ? -EINVAL : 0;
}

/* A function's entry and its CIE, read from a file, as a section of their own. */
struct excerpt {
	uint8_t *bytes;
	struct cfi cfi;
	struct cfi_function function;
};

static void excerpt_free(struct excerpt *excerpt)
{
	free(excerpt->bytes);
	excerpt->bytes = NULL;
}

/*
 * Reads both entries into one buffer, the CIE first, so that the function's lies at `entry` still.
 * Only its distance from the CIE has changed.
 */
static int entries_read(const struct elf_file *file, uint64_t entry, struct excerpt *excerpt)
{
	uint64_t offset, size, id_at, common_size, ignored;
	uint32_t id, distance;
	uint8_t *bytes;
	int error = elf_offset_of(file, entry, &offset);

	if (!error)
		error = entry_measure(file, offset, &size, &id_at);
	if (!error)
		error = elf_read(file, offset + id_at, &id, sizeof(id));
	if (!error &&
	    (size > FUNCTION_ENTRY_MAX || size < id_at + sizeof(id) || !id || id > offset + id_at))
		error = -EINVAL;
	if (!error)
		error = entry_measure(file, offset + id_at - id, &common_size, &ignored);
	if (!error && common_size > COMMON_ENTRY_MAX)
		error = -EINVAL;
	if (error)
		return error;
	bytes = malloc(common_size + size);
	if (!bytes)
		return -ENOMEM;
	error = elf_read(file, offset + id_at - id, bytes, common_size);
	if (!error)
		error = elf_read(file, offset, bytes + common_size, size);
	if (error) {
		free(bytes);
		return error;
	}
	distance = (uint32_t)(common_size + id_at);
	memcpy(bytes + common_size + id_at, &distance, sizeof(distance));
	excerpt->bytes = bytes;
	excerpt->cfi = (struct cfi){
		.bytes = bytes, .size = common_size + size, .address = entry - common_size};
	return 0;
}

static int excerpt_read(const struct elf_file *file, uint64_t entry, struct excerpt *excerpt)
{
	struct excerpt read = {0};
	int error = entries_read(file, entry, &read);

	if (error)
		return error;
	error = cfi_function_at(&read.cfi, (size_t)(entry - read.cfi.address), &read.function);
	if (error)
		excerpt_free(&read);
	else
		*excerpt = read;
	return error;
}

/* Reads the entry of the function that holds an address. */
static int excerpt_find(const struct index *index, uint64_t address, struct excerpt *excerpt)
{
	struct excerpt read;
	uint64_t entry = 0;
	int error = index_find(index, address, &entry);

	if (!error)
		error = excerpt_read(index->file, entry, &read);
	if (error)
		return error;
	if (address < read.function.start || address >= read.function.end) {
		excerpt_free(&read);
		return -ENOENT;
	}
	*excerpt = read;
	return 0;
}

int cfi_find_in_file(const struct elf_file *file, uint64_t address, uint64_t *start, uint64_t *end)
{
	struct excerpt excerpt;
	struct index index;
	int error = index_open(file, &index);

	if (!error)
		error = excerpt_find(&index, address, &excerpt);
	if (error)
		return error;
	*start = excerpt.function.start;
	*end = excerpt.function.end;
	excerpt_free(&excerpt);
	return 0;
}

/* The end of the last function's entry, an offset. */
static int entries_end(const struct index *index, uint64_t *end)
{
	uint64_t start, entry, last = index->frames, offset, size, id;
	int error;

	if (index->count > ENTRIES_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < index->count; i++) {
		error = index_read(index, i, &start, &entry);
		if (error)
			return error;
		if (entry > last)
			last = entry;
	}
	error = elf_offset_of(index->file, last, &offset);
	if (!error)
		error = entry_measure(index->file, offset, &size, &id);
	if (!error)
		*end = offset + size;
	return error;
}

int cfi_find_section(const struct elf_file *file, uint64_t *value, uint64_t *offset, uint64_t *size)
{
	int error = elf_section_find(file, ".eh_frame", value, offset, size);
	uint64_t start, end;
	struct index index;

	if (error != -ENOENT)
		return error;
	error = index_open(file, &index);
	if (!error)
		error = elf_offset_of(file, index.frames, &start);
	if (!error)
		error = entries_end(&index, &end);
	if (error)
		return error;
	if (end < start || end > file->size)
		return -EINVAL;
	*value = index.frames;
	*offset = start;
	*size = end - start;
	return 0;
}

/* The rule at one address, while a function is read. */
struct rule_search {
	uint64_t address;
	struct unwind_rule rule;
	bool found;
};

static int rule_compare(void *context, uint64_t start, uint64_t end, const struct unwind_rule *rule)
{
	struct rule_search *search = context;

	if (search->address < start || search->address >= end)
		return 0;
	search->rule = *rule;
	search->found = true;
	return 1;
}

static bool rule_find(const struct excerpt *excerpt, uint64_t address, struct unwind_rule *rule)
{
	struct rule_search search = {.address = address};

	cfi_read_function(&excerpt->cfi, &excerpt->function, rule_compare, &search);
	*rule = search.rule;
	return search.found;
}

struct parts_search {
	const struct index *index;
	const struct excerpt *function;
	struct cfi_function other; /* into which it was found to jump, and which is no part */
	struct cfi_function *parts;
	size_t count;
	size_t room;
	uint32_t lookups;
};

static bool holds(const struct cfi_function *function, uint64_t address)
{
	return address >= function->start && address < function->end;
}

static bool is_known(const struct parts_search *search, uint64_t address)
{
	if (holds(&search->function->function, address) || holds(&search->other, address))
		return true;
	for (size_t i = 0; i < search->count; i++)
		if (holds(&search->parts[i], address))
			return true;
	return false;
}

/* Whether a function begins as one that was just called. */
static bool begins_as_called(const struct excerpt *excerpt)
{
	const struct unwind_rule called = {.cfa = UNWIND_SP, .offset = 8};
	struct unwind_rule rule;

	return !rule_find(excerpt, excerpt->function.start, &rule) ||
	       !memcmp(&rule, &called, sizeof(rule));
}

/*
 * A jump does not move the stack pointer, so the rule where it lands is the one where it starts from;
 * what only looks like a jump, and one to a procedure linkage table, is found out by that.
 */
static bool keeps_rule(const struct excerpt *from, uint64_t jump, const struct excerpt *to,
		       uint64_t target)
{
	struct unwind_rule before, after;

	return rule_find(from, jump, &before) && rule_find(to, target, &after) &&
	       before.cfa != UNWIND_UNKNOWN && !memcmp(&before, &after, sizeof(before));
}

static int jump_follow(struct parts_search *search, uint64_t jump, uint64_t target)
{
	struct excerpt excerpt;
	int error;

	if (search->count == search->room || search->lookups == LOOKUPS_MAX ||
	    is_known(search, target))
		return 0;
	search->lookups++;
	error = excerpt_find(search->index, target, &excerpt);
	if (error)
		return error == -ENOMEM ? error : 0;
	if (begins_as_called(&excerpt))
		search->other = excerpt.function;
	else if (keeps_rule(search->function, jump, &excerpt, target))
		search->parts[search->count++] = excerpt.function;
	excerpt_free(&excerpt);
	return 0;
}

/*
 * Looks at each byte for an instruction that jumps over a distance of 32 bits (x86-64: `jmp` E9,
 * conditional 0F 80 to 8F). Looks at `size` of the bytes; all of an instruction must be there.
 */
static int jumps_search(struct parts_search *search, const uint8_t *code, size_t size, size_t there,
			uint64_t address)
{
	for (size_t i = 0; i < size; i++) {
		bool conditional = code[i] == 0x0f && i + 1 < there && code[i + 1] >> 4 == 8;
		size_t at = i + (conditional ? 2 : 1);
		int32_t distance;
		int error;

		if ((!conditional && code[i] != 0xe9) || there - at < sizeof(distance))
			continue;
		memcpy(&distance, code + at, sizeof(distance));
		error = jump_follow(search, address + i,
				    address + at + sizeof(distance) + (uint64_t)distance);
		if (error)
			return error;
	}
	return 0;
}

static int code_search(struct parts_search *search, uint64_t start, uint64_t end)
{
	const size_t overlap = 5; /* bytes of a jump that may lie in the next chunk */
	uint64_t offset;
	uint8_t *code;
	int error = elf_offset_of(search->index->file, start, &offset);

	if (error || end <= start || end - start > CODE_MAX)
		return error ? error : -EINVAL;
	code = malloc(CODE_CHUNK + overlap);
	if (!code)
		return -ENOMEM;
	for (uint64_t at = start; !error && at < end; at += CODE_CHUNK) {
		size_t left = (size_t)(end - at);
		size_t there = left < CODE_CHUNK + overlap ? left : CODE_CHUNK + overlap;

		error = elf_read(search->index->file, offset + (at - start), code, there);
		if (!error)
			error = jumps_search(search, code, there < CODE_CHUNK ? there : CODE_CHUNK,
					     there, at);
	}
	free(code);
	return error;
}

int cfi_find_parts(const struct elf_file *file, uint64_t start, uint64_t end,
		   struct cfi_function *parts, size_t room)
{
	struct parts_search search = {.parts = parts, .room = room};
	struct excerpt function;
	struct index index;
	int error = index_open(file, &index);

	if (!error)
		error = excerpt_find(&index, start, &function);
	if (error)
		return error;
	search.index = &index;
	search.function = &function;
	error = code_search(&search, start, end);
	excerpt_free(&function);
	return error ? error : (int)search.count;
}
