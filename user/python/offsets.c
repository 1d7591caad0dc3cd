/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns making a struct python_layout from the generated table or from _Py_DebugOffsets.
 *
 * _Py_DebugOffsets (Include/internal/pycore_runtime.h in 3.13, pycore_debug_offsets.h later) is the
 * cookie and then 64-bit words: version, free_threaded, and groups of offsets. Which words a group
 * has is fixed for a minor version; their values differ between patch releases.
 */
#include "python/offsets.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define COOKIE      "xdebugpy"
#define WORD_SIZE   8
#define OFFSET_MAX  (1ULL << 24) /* _PyRuntimeState and PyInterpreterState are below 1 MiB */
#define TEXT_HASH   8            /* after PyASCIIObject.length, which is a Py_ssize_t */
#define UTF8_FIELDS 16           /* what PyCompactUnicodeObject adds since 3.12: length, pointer */

/*
 * PyASCIIObject.state has 2 bits of `interned` before `kind` in builds with a GIL: by the header
 * (Include/cpython/unicodeobject.h) in 3.13 and 3.14, and strings of each kind in a live 3.15.2.
 */
#define TEXT_KIND_SHIFT 2

/*
 * sizeof(struct _gil_runtime_state), which no debug offset tells. By debug information of 3.13.0;
 * in 3.14.10 and 3.15.2, whose PyInterpreterState has the field `code_object_generation` right
 * after `_gil`, the difference of the two debug offsets. (x86-64: an interval, a pointer, an int,
 * a counter, two condition variables of 48 bytes and two mutexes of 40.)
 */
#define GIL_SIZE 208

/*
 * Where the groups of a minor version begin, in words from the cookie on, and where fields that
 * are used come after ones that not every version has. From the headers of 3.13.0 and 3.14; that
 * of 3.15 from the values of a live 3.15.2. All three were compared word by word with live
 * processes, see tests/unit/test_offsets.c.
 */
struct debug_groups {
	uint32_t version;
	uint32_t words; /* all of them */
	uint32_t runtime, interpreter, thread, frame, code, object, bytes, text, gc;
	uint32_t threads_main;   /* words between interpreter.threads_head and .gc */
	uint32_t gc_statistics;  /* 1: the group gc has frame and generation_stats too */
	uint32_t profiled_frame; /* words between thread.current_frame and .thread_id */
	/* What debug offsets do not tell: */
	uint32_t frame_owner_shim; /* enum _frameowner: 3.13 C stack, then interpreter, 3.14 both */
	uint32_t frame_code_tags;  /* Py_TAG_BITS of a _PyStackRef, pycore_stackref.h */
};

static const struct debug_groups known_groups[] = {
	{
		.version = PYTHON_VERSION(3, 13),
		.words = 73,
		.runtime = 3,
		.interpreter = 6,
		.thread = 19,
		.frame = 28,
		.code = 34,
		.object = 44,
		.bytes = 64,
		.text = 67,
		.gc = 71,
		.frame_owner_shim = 3,
		.frame_code_tags = 0,
	},
	{
		.version = PYTHON_VERSION(3, 14),
		.words = 95,
		.runtime = 3,
		.interpreter = 6,
		.thread = 22,
		.frame = 31,
		.code = 39,
		.object = 50,
		.bytes = 74,
		.text = 77,
		.gc = 81,
		.threads_main = 1,
		.frame_owner_shim = 3,
		.frame_code_tags = 1,
	},
	{
		.version = PYTHON_VERSION(3, 15),
		.words = 111,
		.runtime = 3,
		.interpreter = 6,
		.thread = 22,
		.frame = 39,
		.code = 47,
		.object = 58,
		.bytes = 86,
		.text = 89,
		.gc = 94,
		.threads_main = 1,
		.gc_statistics = 1,
		.profiled_frame = 3,
		.frame_owner_shim = 3,
		.frame_code_tags = 3,
	},
};

static uint32_t maximum(uint32_t one, uint32_t other)
{
	return one > other ? one : other;
}

/* How many bytes of each object hold all the fields that are read of it. */
static void sizes_set(struct python_layout *layout)
{
	uint32_t size;

	size = maximum(layout->thread_prev, layout->thread_next);
	size = maximum(size, layout->thread_interpreter);
	size = maximum(size, layout->thread_id);
	layout->thread_size = maximum(size, layout->thread_frame) + 8;

	size = maximum(layout->frame_previous, layout->frame_code) + 8;
	size = maximum(size, layout->frame_instruction + 8);
	layout->frame_size = maximum(size, layout->frame_owner + 1);

	size = maximum(layout->code_name, layout->code_qualified_name);
	size = maximum(size, layout->code_filename);
	size = maximum(size, layout->code_line_table) + 8;
	size = maximum(size, layout->code_first_line + 4);
	layout->code_size = maximum(size, layout->code_version + 4);
}

int layout_from_table(uint32_t version, struct python_layout *layout)
{
	for (size_t i = 0; i < layout_table_count; i++) {
		if (layout_table[i].version != version)
			continue;
		*layout = layout_table[i];
		sizes_set(layout);
		return 0;
	}
	return -ENOENT;
}

static uint64_t word(const void *bytes, uint32_t index)
{
	uint64_t value;

	memcpy(&value, (const char *)bytes + (size_t)index * WORD_SIZE, sizeof(value));
	return value;
}

int debug_offsets_version(const void *bytes, size_t size, uint32_t *version_hex,
			  uint32_t *free_threaded)
{
	if (size < 3 * WORD_SIZE || memcmp(bytes, COOKIE, strlen(COOKIE)))
		return -ENOENT;
	*version_hex = (uint32_t)word(bytes, 1);
	*free_threaded = word(bytes, 2) != 0;
	return 0;
}

/* Reads fields of one group, and remembers when one cannot be an offset into the group's object. */
struct group_reader {
	const void *bytes;
	uint32_t first; /* word with the object's size */
	bool invalid;
};

static uint32_t field(struct group_reader *group, uint32_t index)
{
	uint64_t value = word(group->bytes, group->first + index);

	/* Bit fields and arrays may end an object, hence "up to". */
	if (value > OFFSET_MAX || value > word(group->bytes, group->first))
		group->invalid = true;
	return (uint32_t)value;
}

static bool interpreter_fill(const void *bytes, const struct debug_groups *groups,
			     struct python_layout *layout)
{
	struct group_reader group = {bytes, groups->interpreter, false};
	struct group_reader gc = {bytes, groups->gc, false};
	uint32_t after = groups->threads_main, gil;

	layout->interpreter_next = field(&group, 2);
	layout->interpreter_threads_head = field(&group, 3);
	layout->interpreter_gc_collecting = field(&group, 4 + after) + field(&gc, 1);
	if (groups->gc_statistics) {
		layout->interpreter_gc_frame = field(&group, 4 + after) + field(&gc, 2);
		layout->interpreter_gc_statistics = field(&group, 4 + after) + field(&gc, 4);
	}
	layout->interpreter_gil = field(&group, 8 + after);
	gil = field(&group, 9 + after);
	layout->gil_locked = field(&group, 11 + after) - gil;
	layout->gil_last_holder = field(&group, 12 + after) - gil;
	layout->gil_size = GIL_SIZE;
	return !group.invalid && !gc.invalid && layout->gil_locked < GIL_SIZE &&
	       layout->gil_last_holder < GIL_SIZE;
}

static bool thread_fill(const void *bytes, const struct debug_groups *groups,
			struct python_layout *layout)
{
	struct group_reader runtime = {bytes, groups->runtime, false};
	struct group_reader group = {bytes, groups->thread, false};

	layout->runtime_interpreters_head = field(&runtime, 2);
	layout->thread_prev = field(&group, 1);
	layout->thread_next = field(&group, 2);
	layout->thread_interpreter = field(&group, 3);
	layout->thread_frame = field(&group, 4);
	layout->thread_id = field(&group, 5 + groups->profiled_frame);
	return !runtime.invalid && !group.invalid;
}

static bool frame_fill(const void *bytes, const struct debug_groups *groups,
		       struct python_layout *layout)
{
	struct group_reader group = {bytes, groups->frame, false};

	layout->frame_previous = field(&group, 1);
	layout->frame_code = field(&group, 2);
	layout->frame_instruction = field(&group, 3);
	layout->frame_owner = field(&group, 5);
	layout->frame_owner_shim = groups->frame_owner_shim;
	layout->frame_code_tags = groups->frame_code_tags;
	layout->instruction_scale = 1;
	return !group.invalid;
}

static bool code_fill(const void *bytes, const struct debug_groups *groups,
		      struct python_layout *layout)
{
	struct group_reader group = {bytes, groups->code, false};
	uint32_t names;

	layout->code_filename = field(&group, 1);
	layout->code_name = field(&group, 2);
	layout->code_qualified_name = field(&group, 3);
	layout->code_line_table = field(&group, 4);
	layout->code_first_line = field(&group, 5);
	names = field(&group, 7);
	/*
	 * co_version is the int before co_localsplusnames (_PyCode_DEF of Include/cpython/code.h,
	 * 3.12 to 3.15; the debug information of 3.12.1 and 3.13.0 agrees).
	 */
	layout->code_version = names - 4;
	layout->code_instructions = field(&group, 9);
	return !group.invalid && names >= 4;
}

static bool objects_fill(const void *bytes, const struct debug_groups *groups,
			 struct python_layout *layout)
{
	struct group_reader object = {bytes, groups->object, false};
	struct group_reader array = {bytes, groups->bytes, false};
	struct group_reader text = {bytes, groups->text, false};

	layout->object_type = field(&object, 1);
	layout->bytes_size = field(&array, 1);
	layout->bytes_data = field(&array, 2);
	layout->text_state = field(&text, 1);
	layout->text_length = field(&text, 2);
	layout->text_hash = layout->text_length + TEXT_HASH;
	layout->text_ascii_data = field(&text, 3);
	layout->text_compact_data = layout->text_ascii_data + UTF8_FIELDS;
	layout->text_kind_shift = TEXT_KIND_SHIFT;
	return !object.invalid && !array.invalid && !text.invalid &&
	       layout->text_hash + 8 <= layout->text_state &&
	       layout->text_state < layout->text_ascii_data;
}

static const struct debug_groups *groups_find(uint32_t version)
{
	for (size_t i = 0; i < sizeof(known_groups) / sizeof(*known_groups); i++)
		if (known_groups[i].version == version)
			return &known_groups[i];
	return NULL;
}

int layout_from_debug_offsets(const void *bytes, size_t size, struct python_layout *layout,
			      struct error *error)
{
	struct python_layout filled = {.frame_model = FRAME_MODEL_CURRENT,
				       .line_format = LINE_FORMAT_LOCATIONS};
	const struct debug_groups *groups;
	uint32_t hex, free_threaded;
	int result = debug_offsets_version(bytes, size, &hex, &free_threaded);

	if (result)
		return error_set(error, result, "_PyRuntime does not begin with debug offsets");
	groups = groups_find(hex >> 16);
	if (!groups)
		return error_set(error, -ENOTSUP, "CPython %u.%u is not supported: 3.7 to 3.15 are",
				 hex >> 24, hex >> 16 & 0xff);
	if (free_threaded)
		return error_set(error, -ENOTSUP,
				 "this CPython %u.%u is a free-threaded build, which is not "
				 "supported: run the program on the build with a GIL",
				 hex >> 24, hex >> 16 & 0xff);
	filled.version = groups->version;
	if (size < (size_t)groups->words * WORD_SIZE || !interpreter_fill(bytes, groups, &filled) ||
	    !thread_fill(bytes, groups, &filled) || !frame_fill(bytes, groups, &filled) ||
	    !code_fill(bytes, groups, &filled) || !objects_fill(bytes, groups, &filled))
		return error_set(error, -EINVAL,
				 "the debug offsets of this CPython %u.%u are not those of a "
				 "release",
				 hex >> 24, hex >> 16 & 0xff);
	sizes_set(&filled);
	*layout = filled;
	return 0;
}
