/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the walk through a live interpreter that proves or refutes a layout. */
#include "python/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "python/lines.h"

#define INTERPRETERS_MAX  64         /* looked at; more are believed to be alike */
#define THREADS_MAX       32         /* looked at of each interpreter */
#define THREADS_IN_ALL    256        /* looked at of all interpreters */
#define FRAMES_MAX        8          /* looked at of each thread */
#define THREAD_ATTEMPTS   8          /* a running thread's frames change while they are read */
#define TEXT_MAX          (1 << 16)  /* characters of a name that is believed */
#define LINE_TABLE_MAX    (16 << 20) /* bytes of a line table that is believed */
#define LINE_TABLES_MAX   (4 << 20)  /* bytes of all of them, then no further one is looked into */
#define LINE_MAX_BELIEVED 100000000
#define INTERVAL_MAX      3600000000ULL /* microseconds: sys.setswitchinterval() of an hour */
#define TYPE_NAME         24            /* offset of PyTypeObject.tp_name, all versions */
#define OBJECT_MAX        4096          /* bytes of the largest object that is read whole */
#define CODE_UNIT         2             /* bytes of an instruction without its caches */

struct check {
	const struct process *process;
	const struct python_layout *layout;
	uint64_t code_type; /* 0: not known yet */
	unsigned int threads;
	unsigned int identified; /* threads whose thread_id is a thread's own pointer */
	unsigned int frames;     /* decoded whole */
	uint64_t line_bytes;     /* read of line tables: what a target can make us do is bounded */
	struct error *error;
};

static int contradicted(struct check *check, const char *what, uint64_t address)
{
	return error_set(check->error, -EPROTO,
			 "the memory of process %d is not that of CPython %u.%u as released: %s at "
			 "%#" PRIx64,
			 check->process->pid, check->layout->version >> 8,
			 check->layout->version & 0xff, what, address);
}

/* Reads memory that the layout says is there. */
static int memory_read(struct check *check, uint64_t address, void *buffer, size_t size,
		       const char *what)
{
	int result = process_read(check->process, address, buffer, size);

	if (result == -EFAULT)
		return contradicted(check, what, address);
	if (result)
		return error_set(check->error, result, "cannot read the memory of process %d: %s",
				 check->process->pid, strerror(-result));
	return 0;
}

static int pointer_read(struct check *check, uint64_t address, uint64_t *value, const char *what)
{
	return memory_read(check, address, value, sizeof(*value), what);
}

static uint64_t pointer_at(const uint8_t *object, uint32_t offset)
{
	uint64_t value;

	memcpy(&value, object + offset, sizeof(value));
	return value;
}

static uint32_t number_at(const uint8_t *object, uint32_t offset)
{
	uint32_t value;

	memcpy(&value, object + offset, sizeof(value));
	return value;
}

/* Bytes of a str up to its first character, wherever that lies. */
static uint32_t text_size(const struct python_layout *layout)
{
	uint32_t data = layout->text_ascii_data > layout->text_compact_data
				? layout->text_ascii_data
				: layout->text_compact_data;

	return (data > layout->text_state ? data : layout->text_state) + 4;
}

/* A str that holds a name: compact, of a believable length, without NUL characters. */
static int text_check(struct check *check, uint64_t address)
{
	const struct python_layout *layout = check->layout;
	uint32_t header_size = layout->text_state + 4, size = text_size(layout), state, kind, data;
	uint8_t header[128], first[4];
	uint64_t length;
	bool whole;
	int result;

	if (!address || size > sizeof(header))
		return contradicted(check, "no name", address);
	/* In one step, unless a short name lies at the end of what is mapped. */
	whole = !process_read(check->process, address, header, size);
	result = whole ? 0 : memory_read(check, address, header, header_size, "an unreadable name");
	if (result)
		return result;
	length = pointer_at(header, layout->text_length);
	state = number_at(header, layout->text_state) >> layout->text_kind_shift;
	kind = state & 7;
	if (length > TEXT_MAX || (kind != 1 && kind != 2 && kind != 4) || !(state >> 3 & 1) ||
	    (state >> 4 & 1 && kind != 1))
		return contradicted(check, "a name that is no str", address);
	if (!length)
		return 0;
	data = state >> 4 & 1 ? layout->text_ascii_data : layout->text_compact_data;
	if (whole)
		memcpy(first, header + data, kind);
	else
		result = memory_read(check, address + data, first, kind, "an unreadable name");
	if (result)
		return result;
	if (!memcmp(first, "\0\0\0", kind) || (state >> 4 & 1 && first[0] > 127))
		return contradicted(check, "a name that is no text", address);
	return 0;
}

/* The line table's bytes object, and that the instruction being run has a valid entry in it. */
static int lines_check(struct check *check, uint64_t address, int32_t first_line,
		       int64_t instruction)
{
	const struct python_layout *layout = check->layout;
	uint64_t size;
	uint8_t *table;
	int result;

	result = pointer_read(check, address + layout->bytes_size, &size,
			      "an unreadable line table");
	if (result)
		return result;
	if (size > LINE_TABLE_MAX)
		return contradicted(check, "an endless line table", address);
	if (check->line_bytes > LINE_TABLES_MAX)
		return 0;
	check->line_bytes += size;
	table = malloc(size + 1);
	if (!table)
		return error_set(check->error, -ENOMEM, "no memory for a line table");
	result = memory_read(check, address + layout->bytes_data, table, size + 1,
			     "an unreadable line table");
	if (!result && table[size]) /* bytes objects end in a NUL that their size does not count */
		result = contradicted(check, "a line table that is no bytes object", address);
	if (!result && line_table_lookup(layout->line_format, table, size, first_line,
					 instruction < 0 ? -1 : (int32_t)instruction) == -EINVAL)
		result = contradicted(check, "an invalid line table", address);
	free(table);
	return result;
}

/* Whether `type` is PyCode_Type, as far as its name tells; remembers it if so. */
static int code_type_learn(struct check *check, uint64_t type)
{
	uint64_t name;
	char text[5];
	int result = pointer_read(check, type + TYPE_NAME, &name, "an unreadable type");

	if (!result)
		result = memory_read(check, name, text, sizeof(text), "an unreadable type");
	if (result)
		return result;
	if (memcmp(text, "code", sizeof(text)))
		return contradicted(check, "a frame without code", type);
	check->code_type = type;
	return 0;
}

/* Byte offset of the instruction that a frame runs, from what lies in the frame. -2: none can be. */
static int64_t instruction_of(const struct python_layout *layout, const uint8_t *frame,
			      uint64_t code)
{
	int64_t offset;

	if (layout->frame_model == FRAME_MODEL_OBJECT) {
		offset = (int32_t)number_at(frame, layout->frame_instruction);
		return offset < 0 ? -1 : offset * layout->instruction_scale;
	}
	offset = (int64_t)(pointer_at(frame, layout->frame_instruction) - code -
			   layout->code_instructions);
	if (offset == -CODE_UNIT)
		return -1; /* up to 3.12: the one before the first */
	return offset < 0 || offset > INT32_MAX ? -2 : offset;
}

static int code_check(struct check *check, uint64_t code, const uint8_t *frame)
{
	const struct python_layout *layout = check->layout;
	int64_t instruction = instruction_of(layout, frame, code);
	uint8_t object[OBJECT_MAX];
	uint64_t type;
	int32_t line;
	int result;

	if (layout->code_size > sizeof(object) ||
	    layout->object_type + sizeof(type) > layout->code_size)
		return contradicted(check, "too large a code object", code);
	result = memory_read(check, code, object, layout->code_size, "an unreadable code object");
	if (result)
		return result;
	type = pointer_at(object, layout->object_type);
	if (!check->code_type)
		result = code_type_learn(check, type);
	if (result)
		return result;
	if (type != check->code_type)
		return contradicted(check, "a frame without code", code);
	if (instruction < -1)
		return contradicted(check, "a frame outside its code", code);
	line = (int32_t)number_at(object, layout->code_first_line);
	if (line < 0 || line > LINE_MAX_BELIEVED)
		return contradicted(check, "an impossible first line", code);
	if ((result = text_check(check, pointer_at(object, layout->code_name))) ||
	    (result = text_check(check, pointer_at(object, layout->code_filename))))
		return result;
	if (layout->code_qualified_name &&
	    (result = text_check(check, pointer_at(object, layout->code_qualified_name))))
		return result;
	return lines_check(check, pointer_at(object, layout->code_line_table), line, instruction);
}

/* The innermost frames of a thread, from `frame` outwards. */
static int frames_check(struct check *check, uint64_t frame)
{
	const struct python_layout *layout = check->layout;
	uint8_t object[OBJECT_MAX];

	for (int i = 0; frame && i < FRAMES_MAX; i++) {
		uint64_t code, previous;
		int result;

		if (layout->frame_size > sizeof(object))
			return contradicted(check, "too large a frame", frame);
		result = memory_read(check, frame, object, layout->frame_size,
				     "an unreadable frame");
		if (result)
			return result;
		previous = pointer_at(object, layout->frame_previous);
		code = pointer_at(object, layout->frame_code) & ~(uint64_t)layout->frame_code_tags;
		if (previous == frame)
			return contradicted(check, "a frame that called itself", frame);
		if (!layout->frame_owner ||
		    object[layout->frame_owner] < layout->frame_owner_shim) {
			result = code_check(check, code, object);
			if (result)
				return result;
			check->frames++;
		}
		frame = previous;
	}
	return 0;
}

/*
 * Whether a thread_id is what pthread_self() gives in glibc and musl: the address of a block whose
 * first word is its own address (tcbhead_t.tcb, struct pthread.self). Of x86-64 alone.
 */
static bool is_thread_pointer(struct check *check, uint64_t id)
{
	uint64_t self;

	if (!id || process_read(check->process, id, &self, sizeof(self)))
		return false;
#ifdef __x86_64__
	return self == id;
#else
	return true;
#endif
}

/* A thread state's place in its list, and its frames, as they are at this moment. */
static int thread_check_once(struct check *check, uint64_t thread, uint64_t interpreter,
			     uint64_t previous, uint64_t *next)
{
	const struct python_layout *layout = check->layout;
	uint8_t object[OBJECT_MAX];
	uint64_t frame;
	int result;

	if (layout->thread_size > sizeof(object))
		return contradicted(check, "too large a thread state", thread);
	result = memory_read(check, thread, object, layout->thread_size,
			     "an unreadable thread state");
	if (result)
		return result;
	if (pointer_at(object, layout->thread_interpreter) != interpreter ||
	    pointer_at(object, layout->thread_prev) != previous)
		return contradicted(check, "a thread state out of its list", thread);
	*next = pointer_at(object, layout->thread_next);
	frame = pointer_at(object, layout->thread_frame);
	if (frame && layout->frame_model == FRAME_MODEL_CFRAME) {
		result = pointer_read(check, frame + layout->cframe_current_frame, &frame,
				      "an unreadable C frame");
		if (result)
			return result;
	}
	result = frames_check(check, frame);
	if (result)
		return result;
	check->threads++;
	check->identified += is_thread_pointer(check, pointer_at(object, layout->thread_id));
	return 0;
}

static int thread_check(struct check *check, uint64_t thread, uint64_t interpreter,
			uint64_t previous, uint64_t *next)
{
	unsigned int frames = check->frames;
	int result = -EPROTO;

	for (int i = 0; i < THREAD_ATTEMPTS && result == -EPROTO; i++) {
		check->frames = frames;
		result = thread_check_once(check, thread, interpreter, previous, next);
	}
	return result;
}

/* The lock: its switch interval and whether it is taken are the two numbers that are bounded. */
static int gil_check(struct check *check, uint64_t gil)
{
	uint64_t interval;
	int32_t locked;
	int result;

	result = pointer_read(check, gil, &interval, "an unreadable GIL");
	if (!result)
		result = memory_read(check, gil + check->layout->gil_locked, &locked,
				     sizeof(locked), "an unreadable GIL");
	if (result)
		return result;
	if (!interval || interval > INTERVAL_MAX || locked < -1 || locked > 1)
		return contradicted(check, "an impossible GIL", gil);
	return 0;
}

static int interpreter_check(struct check *check, uint64_t interpreter, uint64_t *next)
{
	const struct python_layout *layout = check->layout;
	uint64_t thread, previous = 0, gil;
	int result;

	result = pointer_read(check, interpreter + layout->interpreter_next, next,
			      "an unreadable interpreter");
	if (!result)
		result = pointer_read(check, interpreter + layout->interpreter_threads_head,
				      &thread, "an unreadable interpreter");
	for (int i = 0; !result && thread && i < THREADS_MAX && check->threads < THREADS_IN_ALL;
	     i++) {
		uint64_t after = 0;

		result = thread_check(check, thread, interpreter, previous, &after);
		previous = thread;
		thread = after;
	}
	if (result || !layout->interpreter_gil)
		return result;
	result = pointer_read(check, interpreter + layout->interpreter_gil, &gil,
			      "an unreadable interpreter");
	return result || !gil ? result : gil_check(check, gil);
}

static int nothing_yet(struct check *check, const char *why)
{
	return error_set(check->error, -EAGAIN, "process %d: %s", check->process->pid, why);
}

int layout_check(const struct process *process, const struct python_layout *layout,
		 uint64_t runtime, uint64_t *code_type, struct error *error)
{
	struct check check = {
		.process = process, .layout = layout, .code_type = *code_type, .error = error};
	uint64_t interpreter, next = 0;
	int result;

	result = pointer_read(&check, runtime + layout->runtime_interpreters_head, &interpreter,
			      "an unreadable _PyRuntime");
	if (!result && !interpreter)
		result = nothing_yet(&check, "its Python interpreter is starting or ending");
	for (int i = 0; !result && interpreter && i < INTERPRETERS_MAX; i++) {
		result = interpreter_check(&check, interpreter, &next);
		interpreter = next;
	}
	if (!result && layout->runtime_gil)
		result = gil_check(&check, runtime + layout->runtime_gil);
	if (result)
		return result;
	if (!check.threads || (!check.frames && (!check.identified || !check.code_type ||
						 code_type_learn(&check, check.code_type))))
		return nothing_yet(&check, "no thread runs Python code at the moment");
	if (!check.identified)
		return contradicted(&check, "thread states without a thread", runtime);
	*code_type = check.code_type;
	return 0;
}
