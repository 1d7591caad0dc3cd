/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the table of code objects. A record replaces what was known under the same address: it was
 * sent because the former one had been freed, or forgotten by the kernel's set.
 */
#include "capture/codes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "python/lines.h"
#include "python/text.h"

struct code_key {
	uint64_t code;
	uint32_t process;
	uint32_t identity;
};

/* The location of an instruction, once it was asked for. */
struct code_line {
	int32_t instruction;
	uint32_t location;
	UT_hash_handle hh;
};

struct code {
	struct code_key key;
	uint32_t function;
	int32_t first_line;
	uint32_t line_format;
	uint32_t lines_bytes;
	uint8_t *lines;
	struct code_line *known;
	UT_hash_handle hh;
};

/* Pieces of a line table whose code record has not come yet. */
struct pending_lines {
	struct code_key key;
	uint32_t bytes;
	uint8_t *data;
	UT_hash_handle hh;
};

struct process_format {
	uint32_t process;
	uint32_t line_format;
	UT_hash_handle hh;
};

struct codes {
	struct profile *profile;
	uint64_t *lost;
	struct code *all;
	struct pending_lines *pending;
	struct process_format *formats;
	uint32_t removed;    /* processes of which there may still be code objects */
	size_t lines_bytes;  /* of all line tables, also pending ones */
	uint64_t text_bytes; /* of all names that differ */
};

#define REMOVED_MAX 256

/* A target can make ever new code objects: what is kept of them is bounded, and the rest counted. */
#define CODES_MAX       (1U << 20)
#define LINES_BYTES_MAX (64UL << 20)
#define TEXT_BYTES_MAX  (32UL << 20)

struct codes *codes_new(struct profile *profile, uint64_t lost[LOSS_COUNT])
{
	struct codes *codes = calloc(1, sizeof(*codes));

	if (codes) {
		codes->profile = profile;
		codes->lost = lost;
	}
	return codes;
}

static void code_forget(struct codes *codes, struct code *code)
{
	struct code_line *line, *next;

	HASH_ITER (hh, code->known, line, next) {
		HASH_DEL(code->known, line);
		free(line);
	}
	codes->lines_bytes -= code->lines_bytes;
	free(code->lines);
	code->lines = NULL;
	code->lines_bytes = 0;
}

static void pending_free(struct codes *codes, struct pending_lines *pending)
{
	HASH_DEL(codes->pending, pending);
	codes->lines_bytes -= pending->bytes;
	free(pending->data);
	free(pending);
}

void codes_free(struct codes *codes)
{
	struct pending_lines *pending, *next_pending;
	struct process_format *format, *next_format;
	struct code *code, *next_code;

	if (!codes)
		return;
	HASH_ITER (hh, codes->all, code, next_code) {
		HASH_DEL(codes->all, code);
		code_forget(codes, code);
		free(code);
	}
	HASH_ITER (hh, codes->pending, pending, next_pending) {
		pending_free(codes, pending);
	}
	HASH_ITER (hh, codes->formats, format, next_format) {
		HASH_DEL(codes->formats, format);
		free(format);
	}
	free(codes);
}

int codes_add_process(struct codes *codes, uint32_t process, uint32_t line_format)
{
	struct process_format *format;

	HASH_FIND(hh, codes->formats, &process, sizeof(process), format);
	if (!format) {
		format = calloc(1, sizeof(*format));
		if (!format)
			return -ENOMEM;
		format->process = process;
		HASH_ADD(hh, codes->formats, process, sizeof(format->process), format);
	}
	format->line_format = line_format;
	return 0;
}

static struct process_format *format_find(const struct codes *codes, uint32_t process)
{
	struct process_format *format;

	HASH_FIND(hh, codes->formats, &process, sizeof(process), format);
	return format;
}

/* Forgets the code objects of processes that have been removed. */
static void codes_sweep(struct codes *codes)
{
	struct pending_lines *pending, *next_pending;
	struct code *code, *next;

	HASH_ITER (hh, codes->all, code, next) {
		if (format_find(codes, code->key.process))
			continue;
		HASH_DEL(codes->all, code);
		code_forget(codes, code);
		free(code);
	}
	HASH_ITER (hh, codes->pending, pending, next_pending) {
		if (!format_find(codes, pending->key.process))
			pending_free(codes, pending);
	}
	codes->removed = 0;
}

void codes_remove_process(struct codes *codes, uint32_t process)
{
	struct process_format *format = format_find(codes, process);

	if (!format)
		return;
	HASH_DEL(codes->formats, format);
	free(format);
	codes->removed++;
	if (codes->removed >= REMOVED_MAX)
		codes_sweep(codes);
}

static struct pending_lines *pending_find(struct codes *codes, const struct record *head,
					  uint64_t address)
{
	struct code_key key = {.code = address, .process = head->process};
	struct pending_lines *pending;

	HASH_FIND(hh, codes->pending, &key, sizeof(key), pending);
	if (pending)
		return pending;
	pending = calloc(1, sizeof(*pending));
	if (!pending)
		return NULL;
	pending->key = key;
	HASH_ADD(hh, codes->pending, key, sizeof(pending->key), pending);
	return pending;
}

int codes_add_lines(struct codes *codes, const struct lines_record *record, size_t bytes)
{
	struct pending_lines *pending;
	uint8_t *grown;

	if (bytes < offsetof(struct lines_record, data) || record->bytes > LINES_CHUNK ||
	    record->bytes > bytes - offsetof(struct lines_record, data) ||
	    record->offset > LINES_CHUNK * LINES_CHUNKS_MAX)
		return -EINVAL;
	pending = pending_find(codes, &record->head, record->code);
	if (!pending)
		return -ENOMEM;
	if (!record->offset) { /* another CPU's, or an attempt that failed, began it before */
		codes->lines_bytes -= pending->bytes;
		pending->bytes = 0;
	}
	if (record->offset != pending->bytes)
		return 0; /* a piece again: two CPUs send the same one */
	if (codes->lines_bytes + record->bytes > LINES_BYTES_MAX) {
		codes->lost[LOSS_LINES_CUT]++;
		return 0;
	}
	grown = realloc(pending->data, record->offset + record->bytes);
	if (!grown && record->bytes)
		return -ENOMEM;
	memcpy(grown + record->offset, record->data, record->bytes);
	pending->data = grown;
	pending->bytes += record->bytes;
	codes->lines_bytes += record->bytes;
	return 0;
}

static int function_add(struct codes *codes, const struct code_record *record, uint32_t *id)
{
	struct profile_function function = {.start_line = record->first_line, .kind = KIND_PYTHON};
	char *name = NULL, *filename = NULL;
	int error;

	error = text_decode(record->name.width, record->text, record->name.bytes, &name);
	if (!error)
		error = text_decode(record->filename.width, record->text + record->name.bytes,
				    record->filename.bytes, &filename);
	if (!error)
		error = profile_string(codes->profile, name, &function.name);
	if (!error)
		error = profile_string(codes->profile, filename, &function.filename);
	if (!error)
		error = profile_function(codes->profile, &function, id);
	free(name);
	free(filename);
	return error;
}

static struct code *code_find(struct codes *codes, const struct code_key *key)
{
	struct code *code;

	HASH_FIND(hh, codes->all, key, sizeof(*key), code);
	return code;
}

static struct code *code_find_or_add(struct codes *codes, const struct code_key *key)
{
	struct code *code = code_find(codes, key);

	if (code)
		return code;
	code = calloc(1, sizeof(*code));
	if (!code)
		return NULL;
	code->key = *key;
	HASH_ADD(hh, codes->all, key, sizeof(code->key), code);
	return code;
}

/*
 * Moves the line table that came before its code object, if it came whole. When two CPUs tell of
 * the same code object at once the first record takes the pieces, and the second changes nothing.
 */
static void code_take_lines(struct codes *codes, struct code *code,
			    const struct code_record *record)
{
	struct code_key key = {.code = record->code, .process = record->head.process};
	struct process_format *format;
	struct pending_lines *pending;

	HASH_FIND(hh, codes->pending, &key, sizeof(key), pending);
	HASH_FIND(hh, codes->formats, &record->head.process, sizeof(uint32_t), format);
	if (!pending && code->lines && code->lines_bytes == record->lines_bytes)
		return;
	code_forget(codes, code);
	code->line_format = format ? format->line_format : 0;
	if (!pending)
		return;
	if (pending->bytes == record->lines_bytes && format) {
		code->lines = pending->data;
		code->lines_bytes = pending->bytes;
		pending->data = NULL;
		pending->bytes = 0;
	}
	pending_free(codes, pending);
}

int codes_add(struct codes *codes, const struct code_record *record, size_t bytes)
{
	struct code_key key;
	struct code *code;
	uint32_t function, strings;
	size_t text;
	int error;

	if (bytes < offsetof(struct code_record, text))
		return -EINVAL;
	text = bytes - offsetof(struct code_record, text);
	if (record->name.bytes > text || record->filename.bytes > text - record->name.bytes)
		return -EINVAL;
	if (HASH_COUNT(codes->all) >= CODES_MAX || codes->text_bytes > TEXT_BYTES_MAX) {
		codes->lost[LOSS_CODE_UNNAMED]++;
		return 0;
	}
	strings = codes->profile->string_count;
	error = function_add(codes, record, &function);
	if (error)
		return error;
	if (codes->profile->string_count > strings)
		codes->text_bytes += record->name.bytes + record->filename.bytes;
	key = (struct code_key){.code = record->code,
				.process = record->head.process,
				.identity = record->identity};
	code = code_find_or_add(codes, &key);
	if (!code)
		return -ENOMEM;
	if (code->function != function)
		code_forget(codes, code);
	code->function = function;
	code->first_line = record->first_line;
	code_take_lines(codes, code, record);
	return 0;
}

static int unnamed_locate(struct codes *codes, uint32_t *location)
{
	struct profile_function function = {.kind = KIND_PYTHON};
	struct profile_location place = {0};
	int error = profile_string(codes->profile, "[unnamed]", &function.name);

	if (!error)
		error = profile_function(codes->profile, &function, &place.function);
	if (!error)
		error = profile_location(codes->profile, &place, location);
	return error;
}

static int code_locate(struct codes *codes, struct code *code, int32_t instruction,
		       uint32_t *location)
{
	struct profile_location place = {.function = code->function};
	struct code_line *line;
	int error;

	HASH_FIND(hh, code->known, &instruction, sizeof(instruction), line);
	if (line) {
		*location = line->location;
		return 0;
	}
	place.line = line_table_lookup(code->line_format, code->lines, code->lines_bytes,
				       code->first_line, instruction);
	if (place.line < 0) {
		/* An instruction without a line is the compiler's; a bad table is a loss. */
		codes->lost[LOSS_LINE_TABLE] += place.line != -ENOENT;
		place.line = 0;
	}
	error = profile_location(codes->profile, &place, location);
	if (error)
		return error;
	line = calloc(1, sizeof(*line));
	if (!line)
		return -ENOMEM;
	line->instruction = instruction;
	line->location = *location;
	HASH_ADD(hh, code->known, instruction, sizeof(line->instruction), line);
	return 0;
}

int codes_locate(struct codes *codes, uint32_t process, const struct python_frame *frame,
		 uint32_t *location)
{
	struct code_key key = {.code = frame->code & ~PYTHON_FRAME_ENTRY,
			       .process = process,
			       .identity = frame->identity};
	struct code *code = NULL;

	if (frame->identity != FRAME_UNNAMED)
		code = code_find(codes, &key);
	if (!code)
		return unnamed_locate(codes, location);
	return code_locate(codes, code, frame->instruction, location);
}
