/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Owns telling user space of a code object: its names, first line and line table. Leaves to
 * code_set.bpf.h which ones have been told.
 */
#ifndef PYEBPF_CODE_BPF_H
#define PYEBPF_CODE_BPF_H

#include "code_set.bpf.h"
#include "emit.bpf.h"
#include "memory.bpf.h"
#include "scratch.bpf.h"

#define TEXT_TAIL_BYTES 64

/*
 * A number that differs where two str objects do: their hash, or, while Python has not needed that
 * (it is -1 then), the length and last characters.
 */
static __always_inline __u64 text_identity(const struct python_layout *layout, __u64 address,
					   struct scratch *scratch, subject_t subject)
{
	__u64 *words = (__u64 *)scratch->text;
	__u64 length, mix, at;
	__u32 i;

	mix = user_read_word(address + layout->text_hash, subject);
	if (mix != ~0ULL)
		return mix;
	length = user_read_word(address + layout->text_length, subject);
	at = length > TEXT_TAIL_BYTES ? length - TEXT_TAIL_BYTES : 0;
	if (user_read(words, TEXT_TAIL_BYTES, address + layout->text_ascii_data + at, subject))
		return length;
	mix = length;
	for (i = 0; i < TEXT_TAIL_BYTES / sizeof(*words); i++)
		mix = (mix ^ words[i]) * 0x9e3779b97f4a7c15ULL;
	return mix;
}

/* 32 bits that tell a code object from others at its address; 0 if a probe does that. */
CHECKED_ONCE __u32 code_identity(const struct process_config *process, __u64 code,
				 struct scratch *scratch, subject_t subject)
{
	const struct python_layout *layout = &process->layout;
	__u64 mix, name, filename;

	if (!process || !scratch)
		return FRAME_UNNAMED;
	if (process->identity == IDENTITY_FREED)
		return 0;
	if (layout->code_size > OBJECT_BYTES_MAX ||
	    user_read(scratch->object, layout->code_size, code, subject))
		return FRAME_UNNAMED;
	mix = layout->code_version ? (__u32)object_word(scratch, layout->code_version) : 0;
	if (!mix) {
		name = object_word(scratch, layout->code_name);
		filename = object_word(scratch, layout->code_filename);
		mix = (__u32)object_word(scratch, layout->code_first_line);
		mix += text_identity(layout, name, scratch, subject);
		mix *= 0xff51afd7ed558ccdULL;
		mix += text_identity(layout, filename, scratch, subject);
		mix *= 0xc4ceb9fe1a85ec53ULL;
		mix ^= mix >> 32;
	}
	return (__u32)mix >= FRAME_GLUE ? 1 : mix;
}

/*
 * Whether a code object that cannot be read is one of the interpreter's file: from 3.13 on only
 * _Py_InitCleanup, around each __init__ (Python/specialize.c), lies among its constants. A process
 * that has forked within an __init__ has not mapped it yet.
 */
static __always_inline bool code_is_glue(const struct process_config *process, __u64 code)
{
	return process->layout.version >= 0x030d && code >= process->text_end &&
	       code < process->code_type && process->text_end;
}

/*
 * Copies the characters of a compact str object at `address` to `to`. State bits: kind, compact,
 * ascii follow each other (Include/cpython/unicodeobject.h). Returns the bytes; 0 with part->width
 * 0: not readable.
 */
static __always_inline __u32 text_read(const struct python_layout *layout, __u64 address,
				       subject_t subject, __u8 *head, struct text_part *part,
				       __u8 *to, __u32 most)
{
	__u64 length, data;
	__u32 state, width, bytes;

	part->width = 0;
	part->bytes = 0;
	part->cut = 0;
	if (user_read(head, TEXT_HEAD_BYTES, address, subject))
		return 0;
	length = *(__u64 *)(head + (layout->text_length & 63));
	state = *(__u32 *)(head + (layout->text_state & 63)) >> (layout->text_kind_shift & 31);
	width = state & 7;
	/* No text is longer than all that a process can have mapped. */
	if ((width != 1 && width != 2 && width != 4) || !(state & 8) || length >> 47)
		return 0;
	data = address + (state & 16 ? layout->text_ascii_data : layout->text_compact_data);
	part->cut = length > most / width;
	bytes = part->cut ? most : length * width;
	if (bytes > most || (bytes && user_read(to, bounded(bytes, most), data, subject)))
		return 0;
	part->width = width;
	part->bytes = bytes;
	return bytes;
}

struct lines_send {
	struct scratch *scratch;
	subject_t subject;
	__u64 data;
	__u32 left;
	__u32 sent;
};

static long lines_send_step(__u32 index, void *context)
{
	struct lines_send *send = context;
	struct lines_record *lines = &send->scratch->lines;
	__u32 bytes = send->left;

	if (!bytes)
		return 1;
	if (bytes > LINES_CHUNK)
		bytes = LINES_CHUNK;
	if (user_read(lines->data, bytes, send->data + send->sent, send->subject)) {
		loss_count(LOSS_LINES_CUT);
		return 1;
	}
	lines->offset = send->sent;
	lines->bytes = bytes;
	lines->head.size = offsetof(struct lines_record, data) + bytes;
	if (emit(lines, offsetof(struct lines_record, data) + bytes, false, LOSS_LINES_CUT))
		return 1;
	send->sent += bytes;
	send->left -= bytes;
	return 0;
}

/* Sends the line table, a bytes object, in pieces. Returns whether it could be read and sent. */
static __always_inline bool lines_send(const struct python_layout *layout, struct scratch *scratch,
				       subject_t subject, __u64 table)
{
	struct lines_send send = {.scratch = scratch, .subject = subject};
	__u64 bytes = 0;
	bool cut;

	scratch->code.lines_bytes = 0;
	if (user_read(&bytes, sizeof(bytes), table + layout->bytes_size, subject)) {
		loss_count(LOSS_LINES_CUT);
		return false;
	}
	cut = bytes > LINES_CHUNK * LINES_CHUNKS_MAX;
	if (cut)
		bytes = LINES_CHUNK * LINES_CHUNKS_MAX;
	send.data = table + layout->bytes_data;
	send.left = bytes;
	bpf_loop(LINES_CHUNKS_MAX, lines_send_step, &send, 0);
	scratch->code.lines_bytes = send.sent;
	if (send.left) /* counted */
		return false;
	if (cut)
		loss_count(LOSS_LINES_CUT);
	return true;
}

/*
 * Whether a code object is sent again when it is met next, since its lines were not read or sent:
 * a page that is just being copied for a child can be read in a moment, another one never. As
 * nothing is remembered of it, chance ends the attempts: after eight on average.
 */
static __always_inline bool code_try_again(void)
{
	return bpf_get_prandom_u32() & 7;
}

/*
 * Tells user space of a code object. Returns 0; 1: without all of its lines; -1: it could not be
 * read or sent; -2: it is not a code object.
 */
CHECKED_ONCE int code_send(const struct process_config *process, struct scratch *scratch,
			   subject_t subject, __u64 code, __u32 identity)
{
	const struct python_layout *layout = &process->layout;
	struct code_record *record = &scratch->code;
	__u32 name, filename, bytes;
	bool whole;

	if (!process || !scratch)
		return -1;
	if (layout->code_size > OBJECT_BYTES_MAX ||
	    user_read(scratch->object, layout->code_size, code, subject))
		return -1;
	if (object_word(scratch, layout->object_type) != process->code_type)
		return -2;
	name = text_read(layout,
			 object_word(scratch, layout->code_qualified_name
						      ? layout->code_qualified_name
						      : layout->code_name),
			 subject, scratch->text, &record->name, record->text, NAME_BYTES_MAX);
	if (!record->name.width || name > NAME_BYTES_MAX)
		return -1;
	filename = text_read(layout, object_word(scratch, layout->code_filename), subject,
			     scratch->text, &record->filename,
			     record->text + bounded(name, NAME_BYTES_MAX), FILENAME_BYTES_MAX);
	if (!record->filename.width || filename > FILENAME_BYTES_MAX)
		return -1;
	if (record->name.cut || record->filename.cut)
		loss_count(LOSS_NAME_CUT);
	record->code = scratch->lines.code = code;
	record->identity = identity;
	record->first_line = object_word(scratch, layout->code_first_line);
	scratch->lines.head.kind = RECORD_LINES;
	scratch->lines.head.pid = record->head.pid;
	scratch->lines.head.process = process->index;
	whole = lines_send(layout, scratch, subject, object_word(scratch, layout->code_line_table));
	bytes = offsetof(struct code_record, text) + name + filename;
	record->head.kind = RECORD_CODE;
	record->head.process = process->index;
	record->head.size = bytes;
	if (emit(record, bounded(bytes, sizeof(*record)), false, LOSS_CODE_UNNAMED))
		return -1;
	return !whole;
}

/*
 * Has a code object known to user space: tells of it unless that was done. Returns 0, or what
 * code_send() returns where it is not known then.
 */
static __always_inline int code_name(const struct process_config *process, struct scratch *scratch,
				     subject_t subject, struct code_set *known, __u64 code,
				     __u32 identity)
{
	__u64 key = code_key(process, code, identity);
	int result;

	if (code_set_holds(known, key))
		return 0;
	result = code_send(process, scratch, subject, code, identity);
	if (result < 0)
		return result;
	if (!result || !code_try_again())
		code_set_add(known, key);
	return 0;
}

#endif
