/* SPDX-License-Identifier: BSD-2-Clause */
#include "made_python.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY_BYTES (8 << 20)

/* What all made-up interpreters have. Offsets are multiples of their fields' sizes and arbitrary. */
static const struct python_layout layout_common = {
	.runtime_interpreters_head = 88,
	.interpreter_next = 16,
	.interpreter_threads_head = 40,
	.interpreter_gc_collecting = 64,
	.gil_size = 96,
	.gil_last_holder = 8,
	.gil_locked = 16,
	.thread_size = 160,
	.thread_prev = 24,
	.thread_next = 8,
	.thread_interpreter = 48,
	.thread_id = 152,
	.thread_frame = 72,
	.frame_owner_shim = 255,
	.instruction_scale = 1,
	.code_size = 144,
	.code_name = 32,
	.code_filename = 136,
	.code_first_line = 52,
	.code_line_table = 24,
	.object_type = 8,
	.bytes_size = 16,
	.bytes_data = 40,
	.text_length = 24,
	.text_hash = 8,
	.text_state = 36,
	.text_kind_shift = 2,
	.text_ascii_data = 44,
	.text_compact_data = 68,
};

static void layout_set(struct python_layout *layout, enum frame_model model)
{
	*layout = layout_common;
	layout->frame_model = model;
	if (model == FRAME_MODEL_OBJECT) {
		layout->version = 0x030a;
		layout->line_format = LINE_FORMAT_LINETABLE;
		layout->runtime_gil = 200;
		layout->frame_size = 116;
		layout->frame_previous = 24;
		layout->frame_code = 40;
		layout->frame_instruction = 112;
		layout->instruction_scale = 2;
		return;
	}
	layout->version = model == FRAME_MODEL_CFRAME ? 0x030b : 0x030e;
	layout->line_format = LINE_FORMAT_LOCATIONS;
	layout->frame_size = 88;
	layout->frame_previous = 32;
	layout->frame_code = 16;
	layout->frame_instruction = 56;
	layout->frame_owner = 71;
	layout->frame_owner_shim = 3;
	layout->cframe_current_frame = 24;
	layout->code_qualified_name = 120;
	layout->code_instructions = 200;
	if (model == FRAME_MODEL_CFRAME) {
		layout->runtime_gil = 200;
		return;
	}
	layout->interpreter_gil = 72;
	layout->frame_code_tags = 1;
}

uint64_t made_memory(struct made_python *python, size_t bytes)
{
	uint64_t address = (uint64_t)python->memory + python->used;

	assert_true(python->used + bytes <= python->bytes);
	python->used += (bytes + 15) & ~(size_t)15;
	return address;
}

void made_word(uint64_t object, uint32_t offset, uint64_t value)
{
	memcpy((void *)(object + offset), &value, sizeof(value));
}

void made_int(uint64_t object, uint32_t offset, int32_t value)
{
	memcpy((void *)(object + offset), &value, sizeof(value));
}

void made_char(uint64_t object, uint32_t offset, uint8_t value)
{
	*(uint8_t *)(object + offset) = value;
}

static uint64_t word_of(uint64_t object, uint32_t offset)
{
	uint64_t value;

	memcpy(&value, (void *)(object + offset), sizeof(value));
	return value;
}

/* A page between two that cannot be read. */
static void guard_new(struct made_python *python)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages, page, PROT_NONE), 0);
	assert_int_equal(mprotect(pages + 2 * page, page, PROT_NONE), 0);
	python->guard = (uint64_t)pages;
	python->guarded = (uint64_t)(pages + page);
}

void made_python_new(struct made_python *python, enum frame_model model)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	memset(python, 0, sizeof(*python));
	python->bytes = MEMORY_BYTES;
	python->memory = mmap(NULL, python->bytes + page, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	assert_true(python->memory != MAP_FAILED);
	assert_int_equal(mprotect(python->memory + python->bytes, page, PROT_NONE), 0);
	guard_new(python);
	layout_set(&python->config.layout, model);
	python->config.index = MADE_PROCESS;
	python->config.identity = IDENTITY_FREED;
	python->config.runtime = made_memory(python, 512);
	python->config.code_type = made_memory(python, 64);
	python->text_type = made_memory(python, 64);
	python->bytes_type = made_memory(python, 64);
	python->interpreter = made_interpreter(python);
	python->thread = made_thread(python, python->interpreter, (uint64_t)pthread_self());
	python->filename = made_ascii(python, "/made/up.py");
	python->line_table = made_bytes(python, 20);
}

void made_python_free(struct made_python *python)
{
	munmap((void *)python->guard, 3 * (size_t)sysconf(_SC_PAGESIZE));
	munmap(python->memory, python->bytes + (size_t)sysconf(_SC_PAGESIZE));
}

void made_python_use(struct run *run, const struct made_python *python)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(run->programs->maps.processes),
					     &run->programs->bss->subject_pid, &python->config,
					     BPF_ANY),
			 0);
}

void made_python_walk(struct run *run, const struct made_python *python)
{
	made_python_use(run, python);
	run_walk(run);
}

void made_python_each(struct run *run, void (*check)(struct run *run, struct made_python *python))
{
	struct made_python python;
	int model;

	for (model = FRAME_MODEL_OBJECT; model <= FRAME_MODEL_CURRENT; model++) {
		run_reset(run);
		made_python_new(&python, (enum frame_model)model);
		check(run, &python);
		made_python_free(&python);
	}
}

uint64_t made_text(struct made_python *python, uint32_t width, bool ascii, const void *characters,
		   size_t length)
{
	const struct python_layout *layout = &python->config.layout;
	uint32_t data = ascii ? layout->text_ascii_data : layout->text_compact_data;
	uint64_t text = made_memory(python, data + width * (length + 1));

	made_word(text, layout->object_type, python->text_type);
	made_word(text, layout->text_hash, text * 31 + 1);
	made_word(text, layout->text_length, length);
	made_int(text, layout->text_state,
		 (int32_t)((width | 8 | (ascii ? 16 : 0)) << layout->text_kind_shift | 3));
	memcpy((void *)(text + data), characters, width * length);
	return text;
}

uint64_t made_ascii(struct made_python *python, const char *text)
{
	return made_text(python, 1, true, text, strlen(text));
}

uint8_t made_pattern(size_t index)
{
	return (uint8_t)(index * 7 + index / 251 + 1);
}

uint64_t made_bytes(struct made_python *python, size_t length)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t bytes = made_memory(python, layout->bytes_data + length + 1);
	size_t i;

	made_word(bytes, layout->object_type, python->bytes_type);
	made_word(bytes, layout->bytes_size, length);
	for (i = 0; i < length; i++)
		made_char(bytes, (uint32_t)(layout->bytes_data + i), made_pattern(i));
	return bytes;
}

uint64_t made_code(struct made_python *python, uint64_t name, int32_t first_line)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t code = made_memory(python, 512);

	made_word(code, layout->object_type, python->config.code_type);
	made_word(code, layout->code_filename, python->filename);
	made_word(code, layout->code_line_table, python->line_table);
	made_int(code, layout->code_first_line, first_line);
	/* Where there is a qualified name, the plain one must not be used. */
	made_word(code, layout->code_name, layout->code_qualified_name ? python->filename : name);
	if (layout->code_qualified_name)
		made_word(code, layout->code_qualified_name, name);
	return code;
}

uint64_t made_code_numbered(struct made_python *python, uint32_t number)
{
	char name[32];

	snprintf(name, sizeof(name), "function_%u", number);
	return made_code(python, made_ascii(python, name), (int32_t)number + 1);
}

void made_frame_at(struct made_python *python, uint64_t frame, uint64_t code, uint64_t caller,
		   int32_t instruction)
{
	const struct python_layout *layout = &python->config.layout;

	made_word(frame, layout->frame_previous, caller);
	made_word(frame, layout->frame_code, code);
	if (layout->frame_model == FRAME_MODEL_OBJECT)
		made_int(frame, layout->frame_instruction,
			 instruction < 0 ? -1 : instruction / (int32_t)layout->instruction_scale);
	else /* the code unit before the first one: nothing was begun */
		made_word(frame, layout->frame_instruction,
			  code + layout->code_instructions +
				  (uint64_t)(int64_t)(instruction < 0 ? -2 : instruction));
}

uint64_t made_frame(struct made_python *python, uint64_t code, uint64_t caller, int32_t instruction)
{
	uint64_t frame = made_memory(python, python->config.layout.frame_size);

	made_frame_at(python, frame, code, caller, instruction);
	return frame;
}

uint64_t made_shim(struct made_python *python, uint64_t caller)
{
	/* What it holds instead of a code object: None. */
	uint64_t frame = made_frame(python, python->text_type, caller, 0);

	assert_true(python->config.layout.frame_owner);
	made_char(frame, python->config.layout.frame_owner, 3);
	return frame;
}

void made_thread_run(struct made_python *python, uint64_t thread, uint64_t frame)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t cframe;

	if (layout->frame_model != FRAME_MODEL_CFRAME) {
		made_word(thread, layout->thread_frame, frame);
		return;
	}
	cframe = made_memory(python, 64);
	made_word(cframe, layout->cframe_current_frame, frame);
	made_word(thread, layout->thread_frame, cframe);
}

uint64_t made_thread(struct made_python *python, uint64_t interpreter, uint64_t thread_pointer)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t thread = made_memory(python, layout->thread_size);
	uint64_t next = word_of(interpreter, layout->interpreter_threads_head);

	made_word(thread, layout->thread_next, next);
	made_word(thread, layout->thread_interpreter, interpreter);
	made_word(thread, layout->thread_id, thread_pointer);
	if (next)
		made_word(next, layout->thread_prev, thread);
	made_word(interpreter, layout->interpreter_threads_head, thread);
	return thread;
}

void made_thread_unlink(struct made_python *python, uint64_t thread)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t next = word_of(thread, layout->thread_next);
	uint64_t previous = word_of(thread, layout->thread_prev);

	if (next)
		made_word(next, layout->thread_prev, previous);
	if (previous)
		made_word(previous, layout->thread_next, next);
	else
		made_word(word_of(thread, layout->thread_interpreter),
			  layout->interpreter_threads_head, next);
}

uint64_t made_interpreter(struct made_python *python)
{
	const struct python_layout *layout = &python->config.layout;
	uint64_t interpreter = made_memory(python, 256);

	made_word(interpreter, layout->interpreter_next,
		  word_of(python->config.runtime, layout->runtime_interpreters_head));
	made_word(python->config.runtime, layout->runtime_interpreters_head, interpreter);
	return interpreter;
}

uint64_t made_stack(struct made_python *python, uint32_t depth)
{
	uint64_t frame = 0;
	uint32_t i;

	for (i = 0; i < depth; i++)
		frame = made_frame(python, made_code_numbered(python, i), frame, (int32_t)i * 2);
	return frame;
}

void expect_stack(const struct run *run, uint32_t flags, uint32_t count, const uint64_t *codes)
{
	const struct sample_record *sample = run_sample(run);
	uint32_t i;

	assert_int_equal(sample->flags, flags);
	assert_int_equal(sample->python_count, count);
	assert_int_equal(sample->head.size, offsetof(struct sample_record, python) +
						    count * sizeof(struct python_frame));
	for (i = 0; i < count; i++)
		assert_int_equal(sample->python[i].code & ~PYTHON_FRAME_ENTRY, codes[i]);
}

void expect_name(const struct run *run, uint64_t code, const char *name)
{
	const struct code_record *record = run_code(run, code);

	assert_non_null(record);
	assert_int_equal(record->head.process, MADE_PROCESS);
	assert_int_equal(record->head.pid, run->programs->bss->subject_pid);
	assert_int_equal(record->name.width, 1);
	assert_int_equal(record->name.bytes, strlen(name));
	assert_memory_equal(record->text, name, strlen(name));
}
