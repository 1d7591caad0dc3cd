/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading the entries of an .eh_frame section. What an entry costs is bounded by its own size:
 * CIEs, which any number of functions can share, must be short. Leaves their instructions to
 * cfi_run.c.
 */
#include "native/cfi.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "native/cfi_entry.h"
#include "native/cfi_machine.h"

#define COMMON_SIZE_MAX 256 /* bytes of a CIE; compilers' have 20 to 60 */
#define ID_SIZE         4   /* bytes */

/* Where an entry lies in its section, offsets in bytes. */
struct entry {
	size_t body; /* of what follows the length */
	size_t end;  /* of the next entry */
	uint32_t id; /* 0: a CIE; else how far before `body` its CIE is */
};

/*
 * Reads the length and the id of an entry. The id has 4 bytes with both forms of length (LSB,
 * 10.6.1.1). An entry without length has no id either. Returns 0 or -EINVAL.
 */
static int entry_read(const struct cfi *cfi, size_t at, struct entry *entry)
{
	struct cursor cursor = {.at = cfi->bytes + at, .end = cfi->bytes + cfi->size};
	uint64_t length = cursor_read_fixed(&cursor, 4);

	if (length == UINT32_MAX)
		length = cursor_read_fixed(&cursor, 8);
	entry->body = (size_t)(cursor.at - cfi->bytes);
	if (cursor.failed || length > cfi->size - entry->body)
		return -EINVAL;
	entry->end = entry->body + (size_t)length;
	cursor.end = cfi->bytes + entry->end;
	entry->id = length ? (uint32_t)cursor_read_fixed(&cursor, ID_SIZE) : 0;
	return cursor.failed ? -EINVAL : 0;
}

/* Whether addresses can be stored so: in a fixed size, absolute or relative to their own place. */
static bool encoding_is_kept(uint8_t encoding)
{
	uint8_t format = encoding & POINTER_FORMAT, base = encoding & POINTER_BASE;

	return (base == 0 || base == DW_EH_PE_pcrel) && format != DW_EH_PE_uleb128 &&
	       format != DW_EH_PE_sleb128;
}

/*
 * Reads what a CIE has for the letters of its augmentation (LSB, 10.6.1.1.1). The length that comes
 * with `z` allows to pass over what is not known.
 */
static void augmentation_read(struct cursor *cursor, const char *letters, struct cfi_common *common)
{
	struct cursor data;

	common->augmented = *letters == 'z';
	if (!*letters)
		return;
	if (!common->augmented) {
		cursor_fail(cursor);
		return;
	}
	data = cursor_read_bytes(cursor, cursor_read_unsigned(cursor));
	for (letters++; *letters; letters++) {
		if (*letters == 'R')
			common->encoding = (uint8_t)cursor_read_fixed(&data, 1);
		else if (*letters == 'P')
			cursor_read_pointer(&data, (uint8_t)cursor_read_fixed(&data, 1));
		else if (*letters == 'L')
			cursor_read_fixed(&data, 1);
		else if (*letters == 'S')
			common->signal = true;
		else if (*letters != 'B')
			break;
	}
	if (data.failed)
		cursor_fail(cursor);
}

/* Reads the CIE that an entry refers to, `at` being its offset. Returns 0 or -EINVAL. */
static int common_read(const struct cfi *cfi, size_t at, struct cfi_common *common)
{
	struct cfi_common read = {.encoding = DW_EH_PE_absptr};
	enum cfi_register kept;
	struct cursor cursor;
	struct entry entry;
	const char *letters;
	uint64_t version, number;

	if (entry_read(cfi, at, &entry) || entry.id || entry.end - entry.body > COMMON_SIZE_MAX)
		return -EINVAL;
	cursor = (struct cursor){.at = cfi->bytes + entry.body, .end = cfi->bytes + entry.end};
	cursor_read_fixed(&cursor, ID_SIZE);
	version = cursor_read_fixed(&cursor, 1);
	letters = (const char *)cursor.at;
	cursor_read_bytes(&cursor, strnlen(letters, (size_t)(cursor.end - cursor.at)) + 1);
	if (cursor.failed || (version != 1 && version != 3))
		return -EINVAL;
	read.code_factor = cursor_read_unsigned(&cursor);
	read.data_factor = cursor_read_signed(&cursor);
	number = version == 1 ? cursor_read_fixed(&cursor, 1) : cursor_read_unsigned(&cursor);
	augmentation_read(&cursor, letters, &read);
	if (cursor.failed || !encoding_is_kept(read.encoding) ||
	    !cfi_machine_keeps(number, &kept) || kept != CFI_RETURN_ADDRESS)
		return -EINVAL;
	read.instructions = cursor;
	*common = read;
	return 0;
}

/* Reads a function's bounds. Without an address or a size (that of discarded code) both are 0. */
static void bounds_read(const struct cfi *cfi, const struct cfi_common *common,
			struct cursor *cursor, uint64_t *start, uint64_t *end)
{
	uint64_t place = cfi->address + (uint64_t)(cursor->at - cfi->bytes);
	uint64_t from = cursor_read_pointer(cursor, common->encoding);
	uint64_t size = cursor_read_pointer(cursor, common->encoding & POINTER_FORMAT);

	*start = *end = 0;
	if (cursor->failed || !from || !size)
		return;
	if ((common->encoding & POINTER_BASE) == DW_EH_PE_pcrel)
		from += place;
	if (from + size < from) {
		cursor_fail(cursor);
		return;
	}
	*start = from;
	*end = from + size;
}

static int function_add(struct cfi_functions *functions, size_t *room,
			const struct cfi_function *function)
{
	if (functions->count == *room) {
		size_t more = *room ? *room * 2 : 64;
		struct cfi_function *all = realloc(functions->all, more * sizeof(*all));

		if (!all)
			return -ENOMEM;
		functions->all = all;
		*room = more;
	}
	functions->all[functions->count++] = *function;
	return 0;
}

/*
 * Reads an FDE, up to its instructions. *common is that of the CIE at *parameter, which is read if
 * it is another one. Returns 0 or -EINVAL.
 */
static int function_read(const struct cfi *cfi, size_t at, const struct entry *entry,
			 struct cfi_common *common, size_t *parameter,
			 struct cfi_function *function, struct cursor *instructions)
{
	struct cursor cursor = {.at = cfi->bytes + entry->body + ID_SIZE,
				.end = cfi->bytes + entry->end};

	if (entry->id > entry->body)
		return -EINVAL;
	if (*parameter != entry->body - entry->id) {
		*parameter = SIZE_MAX;
		if (common_read(cfi, entry->body - entry->id, common))
			return -EINVAL;
		*parameter = entry->body - entry->id;
	}
	function->entry = at;
	function->parameter = *parameter;
	bounds_read(cfi, common, &cursor, &function->start, &function->end);
	if (common->augmented)
		cursor_read_bytes(&cursor, cursor_read_unsigned(&cursor));
	*instructions = cursor;
	return cursor.failed ? -EINVAL : 0;
}

int cfi_entry_read(const struct cfi *cfi, size_t at, struct cfi_function *function,
		   struct cfi_common *common, struct cursor *instructions)
{
	size_t parameter = SIZE_MAX;
	struct entry entry;

	if (at >= cfi->size || entry_read(cfi, at, &entry) || !entry.id)
		return -EINVAL;
	return function_read(cfi, at, &entry, common, &parameter, function, instructions);
}

int cfi_function_at(const struct cfi *cfi, size_t at, struct cfi_function *function)
{
	struct cursor instructions;
	struct cfi_function read;
	struct cfi_common common;
	int error = cfi_entry_read(cfi, at, &read, &common, &instructions);

	if (!error)
		*function = read;
	return error;
}

static int compare(const void *left, const void *right)
{
	const struct cfi_function *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->entry < b->entry ? -1 : a->entry > b->entry;
}

static void sort(struct cfi_functions *functions)
{
	for (size_t i = 1; i < functions->count; i++)
		if (functions->all[i - 1].start > functions->all[i].start) {
			qsort(functions->all, functions->count, sizeof(*functions->all), compare);
			return;
		}
}

/*
 * An entry of length 0 ends the section for an unwinder that searches from its start. Where a linker
 * left one in the middle, functions behind it are still found through .eh_frame_hdr, the way in
 * which today's unwinders go; so it is passed over.
 */
int cfi_list(const struct cfi *cfi, struct cfi_functions *functions)
{
	size_t parameter = SIZE_MAX, room = 0;
	struct cfi_functions list = {0};
	struct cursor instructions;
	struct cfi_common common;
	struct entry entry;

	for (size_t at = 0; at < cfi->size; at = entry.end) {
		struct cfi_function function;

		if (entry_read(cfi, at, &entry)) {
			list.damaged++;
			break; /* where the next one begins is not known */
		}
		if (!entry.id)
			continue;
		if (function_read(cfi, at, &entry, &common, &parameter, &function, &instructions))
			list.damaged++;
		else if (function.start != function.end && function_add(&list, &room, &function)) {
			free(list.all);
			return -ENOMEM;
		}
	}
	sort(&list);
	*functions = list;
	return 0;
}
