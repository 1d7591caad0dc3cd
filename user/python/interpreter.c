/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns finding the CPython of a process: the mapped file that defines _PyRuntime, its version, its
 * addresses. The layout comes from offsets.c, its proof from check.c.
 */
#include "python/interpreter.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "native/cfi.h"
#include "native/elf.h"
#include "python/check.h"
#include "python/offsets.h"
#include "target/maps.h"

#define TYPE_DEALLOC     48         /* offset of PyTypeObject.tp_dealloc, all versions */
#define CHECK_ATTEMPTS   20         /* the target runs while it is read */
#define CHECK_PAUSE_NS   1000000    /* between two attempts */
#define STARTING_SECONDS 2          /* a process this young may still be initialising itself */
#define DATA_SIZE_MAX    (32 << 20) /* bytes of a module's data that are searched */
#define VERSION_TEXT_MAX 200        /* bytes of Py_GetVersion()'s text up to the compiler */
#define SUPPORTED        "CPython 3.7 to 3.15 are"

/* A file that the process has mapped, and all that is being found out about it. */
struct module {
	const struct process *process;
	const struct maps *maps;
	const struct mapping *text; /* its first executable mapping */
	struct elf_file elf;
	uint64_t bias;
};

static int module_open(const struct process *process, const struct maps *maps,
		       const struct mapping *text, struct module *module)
{
	struct module opened = {.process = process, .maps = maps, .text = text};
	int result = elf_file_open_mapping(process, text, &opened.elf);

	if (result)
		return result;
	result = elf_load_bias(&opened.elf, text, &opened.bias);
	if (result) {
		elf_file_close(&opened.elf);
		return result;
	}
	*module = opened;
	return 0;
}

/* The address of a symbol in the process. */
static int module_symbol(const struct module *module, const char *name, enum elf_tables tables,
			 uint64_t *address)
{
	struct elf_symbol symbol;
	int result = elf_symbol_find(&module->elf, name, tables, &symbol);

	if (result)
		return result;
	*address = symbol.value + module->bias;
	return 0;
}

static bool path_is_python(const char *path)
{
	const char *name = strrchr(path, '/');

	return strstr(name ? name : path, "python");
}

/* _PyRuntime by its symbol, else by the section that holds it from 3.10 on. */
static int module_runtime(const struct module *module, uint64_t *runtime)
{
	uint64_t value, size;
	int result = module_symbol(module, "_PyRuntime", ELF_DYNAMIC_ONLY, runtime);

	if (!result)
		return 0;
	result = elf_section_find(&module->elf, ".PyRuntime", &value, NULL, &size);
	if (!result && size) {
		*runtime = value + module->bias;
		return 0;
	}
	/* A table of all symbols is large: looked through only where it promises something. */
	if (!path_is_python(module->text->path))
		return -ENOENT;
	return module_symbol(module, "_PyRuntime", ELF_ALL_SYMBOLS, runtime);
}

/* Whether `at` begins what Py_GetVersion() returns: "3.9.2 (build) \n[compiler", 3.10 on no \n. */
static bool is_version_text(const char *at, size_t size)
{
	size_t i = 3, end = size < VERSION_TEXT_MAX ? size : VERSION_TEXT_MAX;

	if (size < 16 || (at[0] != '2' && at[0] != '3') || at[1] != '.' ||
	    !isdigit((unsigned char)at[2]))
		return false;
	while (i < end && (isalnum((unsigned char)at[i]) || at[i] == '.' || at[i] == '+'))
		i++;
	if (i + 1 >= end || at[i] != ' ' || at[i + 1] != '(')
		return false;
	for (; i + 3 < end && at[i]; i++)
		if (at[i] == ')' && at[i + 1] == ' ' &&
		    (at[i + 2] == '[' || (at[i + 2] == '\n' && at[i + 3] == '[')))
			return true;
	return false;
}

/* Searches a part of the process' memory for its version text; copies the first word of it. */
static bool version_search(const struct process *process, uint64_t start, uint64_t end,
			   char *version, size_t size)
{
	uint64_t length = end - start < DATA_SIZE_MAX ? end - start : DATA_SIZE_MAX;
	char *data = malloc(length), *at;
	bool found = false;

	if (!data)
		return false;
	at = data;
	if (process_read(process, start, data, length))
		length = 0;
	while (!found && (at = memmem(at, length - (size_t)(at - data), " (", 2))) {
		char *first = at;

		while (first > data && at - first < 24 && first[-1] > ' ')
			first--;
		found = is_version_text(first, length - (size_t)(first - data));
		if (found)
			snprintf(version, size, "%.*s", (int)(at - first), first);
		at++;
	}
	free(data);
	return found;
}

/*
 * The version out of the buffer that Py_GetVersion() keeps in the module's data, filled when
 * sys.version is made. Its data are the writable mappings of the file, and what follows them (bss).
 */
static bool version_from_data(const struct module *module, char *version, size_t size)
{
	const struct maps *maps = module->maps;
	uint64_t end = 0;

	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *mapping = &maps->entries[i];
		bool same = mapping_same_file(mapping, module->text);

		if (same)
			end = mapping->end;
		else if (mapping->start != end || mapping->inode || *mapping->path)
			continue;
		if (mapping->writable &&
		    version_search(module->process, mapping->start, mapping->end, version, size))
			return true;
	}
	return false;
}

/* PY_VERSION_HEX as sys.version spells it: 3.13.0, 3.14.0rc2. */
static void version_format(uint32_t hex, char *version, size_t size)
{
	unsigned int major = hex >> 24, minor = hex >> 16 & 0xff, micro = hex >> 8 & 0xff;
	unsigned int level = hex >> 4 & 15, serial = hex & 15;

	if (level == 15)
		snprintf(version, size, "%u.%u.%u", major, minor, micro);
	else
		snprintf(version, size, "%u.%u.%u%s%u", major, minor, micro,
			 level == 10   ? "a"
			 : level == 11 ? "b"
				       : "rc",
			 serial);
}

static int version_refuse(const char *version, const char *path, struct error *error)
{
	return error_set(error, -ENOTSUP, "%s is Python %s, which is not supported: " SUPPORTED,
			 path, version);
}

/* The layout and version text of an interpreter without _Py_DebugOffsets. */
static int layout_of_old(const struct module *module, struct interpreter *found,
			 struct error *error)
{
	unsigned int major = 0, minor = 0;
	uint64_t address;
	uint32_t hex;

	if (!module_symbol(module, "Py_Version", ELF_ALL_SYMBOLS, &address) &&
	    !process_read(module->process, address, &hex, sizeof(hex)))
		version_format(hex, found->version, sizeof(found->version));
	else if (!version_from_data(module, found->version, sizeof(found->version)))
		return error_set(error, -EAGAIN, "%s has not said its version: it may be starting",
				 module->text->path);
	if (sscanf(found->version, "%u.%u", &major, &minor) != 2 ||
	    layout_from_table(PYTHON_VERSION(major, minor), &found->layout))
		return version_refuse(found->version, module->text->path, error);
	return 0;
}

/* As much of _Py_DebugOffsets as can be read: an older _PyRuntime may be shorter. */
static size_t debug_offsets_read(const struct module *module, uint64_t runtime, uint8_t *bytes,
				 size_t size)
{
	while (size >= 64 && process_read(module->process, runtime, bytes, size))
		size /= 2;
	return size;
}

static int layout_find(const struct module *module, struct interpreter *found, struct error *error)
{
	uint8_t bytes[DEBUG_OFFSETS_SIZE];
	size_t size = debug_offsets_read(module, found->runtime, bytes, sizeof(bytes));
	uint32_t hex, free_threaded;

	if (debug_offsets_version(bytes, size, &hex, &free_threaded))
		return layout_of_old(module, found, error);
	version_format(hex, found->version, sizeof(found->version));
	if (hex >> 16 < PYTHON_VERSION_DEBUG_OFFSETS || hex >> 16 > PYTHON_VERSION_NEWEST)
		return version_refuse(found->version, module->text->path, error);
	return layout_from_debug_offsets(bytes, size, &found->layout, error);
}

static void text_range_set(const struct module *module, struct interpreter *found)
{
	found->text_start = module->text->start;
	found->text_end = module->text->end;
	for (size_t i = 0; i < module->maps->count; i++) {
		const struct mapping *mapping = &module->maps->entries[i];

		if (mapping->executable && mapping_same_file(mapping, module->text) &&
		    mapping->end > found->text_end)
			found->text_end = mapping->end;
	}
}

/* Whether the kernel emulates this instruction in a uprobe: one-byte nop, or push of a register. */
static bool is_cheap(const uint8_t *instruction)
{
	const uint8_t *at = instruction + (instruction[0] == 0x41); /* REX.B: r8 to r15 */

	return instruction[0] == 0x90 || (*at >= 0x50 && *at <= 0x57);
}

static const uint8_t branch_target[] = {0xf3, 0x0f, 0x1e, 0xfa}; /* endbr64 */

/*
 * The function that runs a collection (Modules/gcmodule.c, Python/gc.c), static in all versions, so
 * that only the table of all symbols has it, and a compiler may have made others of it. 3.14 has
 * changed it again and again.
 */
static void collectors_find(const struct module *module, struct interpreter *found)
{
	static const struct {
		uint32_t first, last;
		const char *name;
	} names[] = {
		{PYTHON_VERSION(3, 8), PYTHON_VERSION(3, 9), "collect"},
		{PYTHON_VERSION(3, 8), PYTHON_VERSION(3, 8), "collect.constprop.0"},
		{PYTHON_VERSION(3, 8), PYTHON_VERSION(3, 8), "collect.constprop.1"},
		{PYTHON_VERSION(3, 10), PYTHON_VERSION(3, 13), "gc_collect_main"},
	};
	uint32_t version = found->layout.version, count = 0, i;
	struct elf_symbol symbol;
	uint64_t offset;
	uint8_t code[8];

	for (i = 0; i < sizeof(names) / sizeof(*names) && count < COLLECTORS_MAX; i++) {
		if (version < names[i].first || version > names[i].last ||
		    elf_symbol_find(&module->elf, names[i].name, ELF_ALL_SYMBOLS, &symbol) ||
		    symbol.type != STT_FUNC || elf_offset_of(&module->elf, symbol.value, &offset) ||
		    elf_read(&module->elf, offset, code, sizeof(code)))
			continue;
		if (!memcmp(code, branch_target, sizeof(branch_target))) {
			offset += sizeof(branch_target);
			memmove(code, code + sizeof(branch_target),
				sizeof(code) - sizeof(branch_target));
		}
		if (is_cheap(code))
			found->collectors[count++] = offset;
	}
}

/* Where to put a probe on the function that frees code objects. Not finding it is no failure. */
static void code_dealloc_find(const struct module *module, struct interpreter *found)
{
	struct code_dealloc *dealloc = &found->code_dealloc;
	const struct mapping *mapping;
	uint8_t code[8];
	uint64_t address, offset;

	if (process_read(module->process, found->code_type + TYPE_DEALLOC, &address,
			 sizeof(address)))
		return;
	mapping = maps_find(module->maps, address);
	if (!mapping || !mapping->executable || !mapping_same_file(mapping, module->text))
		return;
	offset = address - mapping->start + mapping->offset;
	/* From the file: in memory another probe's breakpoint may lie there. */
	if (elf_read(&module->elf, offset, code, sizeof(code)))
		return;
	if (!memcmp(code, branch_target, sizeof(branch_target)) &&
	    is_cheap(code + sizeof(branch_target))) {
		offset += sizeof(branch_target);
		memmove(code, code + sizeof(branch_target), sizeof(code) - sizeof(branch_target));
	}
	*dealloc = (struct code_dealloc){
		.address = address, .offset = offset, .cheap = is_cheap(code)};
}

/*
 * Where the interpreter's loop lies: its body and, if the compiler has moved one out, its unlikely
 * part. Not finding it is no failure: native frames of the loop are then shown as such.
 */
static void loop_find(const struct module *module, struct interpreter *found)
{
	struct cfi_function part;
	struct elf_symbol symbol;

	if (elf_symbol_find(&module->elf, "_PyEval_EvalFrameDefault", ELF_ALL_SYMBOLS, &symbol) ||
	    !symbol.size)
		return;
	found->loop_start[0] = symbol.value + module->bias;
	found->loop_end[0] = found->loop_start[0] + symbol.size;
	if (cfi_find_parts(&module->elf, symbol.value, symbol.value + symbol.size, &part, 1) != 1)
		return;
	found->loop_start[1] = part.start + module->bias;
	found->loop_end[1] = part.end + module->bias;
}

/* Whether the process began so short a time ago that half-made objects are to be expected. */
static bool is_young(const struct process *process)
{
	struct timespec now;

	if (clock_gettime(CLOCK_BOOTTIME, &now))
		return false;
	return (uint64_t)now.tv_sec <=
	       process->start_ticks / (uint64_t)sysconf(_SC_CLK_TCK) + STARTING_SECONDS;
}

/* Checks until it holds: what is read while the target changes it may contradict itself. */
static int layout_prove(const struct process *process, struct interpreter *found,
			struct error *error)
{
	const struct timespec pause = {.tv_nsec = CHECK_PAUSE_NS};
	int result = -EAGAIN;

	for (int i = 0; i < CHECK_ATTEMPTS; i++) {
		result = layout_check(process, &found->layout, found->runtime, &found->code_type,
				      error);
		if (result != -EPROTO && result != -EAGAIN)
			return result;
		if (result == -EAGAIN && i >= 3)
			return result; /* the caller knows how long it wants to wait */
		nanosleep(&pause, NULL);
	}
	return result == -EPROTO && is_young(process) ? -EAGAIN : result;
}

/* Fills *found from a module that has _PyRuntime at found->runtime. */
static int interpreter_fill(const struct module *module, struct interpreter *found,
			    struct error *error)
{
	int result = layout_find(module, found, error);

	if (result)
		return result;
	if (module_symbol(module, "PyCode_Type", ELF_ALL_SYMBOLS, &found->code_type))
		found->code_type = 0;
	result = layout_prove(module->process, found, error);
	if (result)
		return result;
	if (found->layout.frame_model == FRAME_MODEL_OBJECT &&
	    module_symbol(module, "PyFrame_Type", ELF_ALL_SYMBOLS, &found->frame_type))
		found->frame_type = 0;
	text_range_set(module, found);
	code_dealloc_find(module, found);
	collectors_find(module, found);
	if (found->layout.version < PYTHON_VERSION(3, 11))
		loop_find(module, found);
	found->path = strdup(module->text->path);
	found->file = strdup(module->elf.path);
	if (!found->path || !found->file)
		return error_set(error, -ENOMEM, "no memory");
	return 0;
}

/* An interpreter from before _PyRuntime: said by name, so that nobody looks for another reason. */
static int ancient_refuse(const struct module *module, struct error *error)
{
	uint64_t ignored;
	char version[32];

	if (module_symbol(module, "Py_GetVersion", ELF_DYNAMIC_ONLY, &ignored))
		return -ENOENT;
	if (!version_from_data(module, version, sizeof(version)))
		snprintf(version, sizeof(version), "3.6 or older");
	return version_refuse(version, module->text->path, error);
}

/* Looks into one module. -ENOENT: it has no interpreter. */
static int module_inspect(const struct process *process, const struct maps *maps,
			  const struct mapping *text, struct interpreter *interpreter,
			  struct error *error)
{
	struct interpreter found = {.version = ""};
	struct module module;
	int result = module_open(process, maps, text, &module);

	if (result)
		return result == -ENOMEM ? result : -ENOENT;
	result = module_runtime(&module, &found.runtime);
	if (!result)
		result = interpreter_fill(&module, &found, error);
	else if (path_is_python(text->path))
		result = ancient_refuse(&module, error);
	else
		result = -ENOENT;
	elf_file_close(&module.elf);
	if (result)
		interpreter_release(&found);
	else
		*interpreter = found;
	return result;
}

/* Whether this is the first executable mapping of a file. */
static bool is_module(const struct maps *maps, size_t index)
{
	const struct mapping *mapping = &maps->entries[index];

	if (!mapping->executable || !mapping->inode || *mapping->path != '/')
		return false;
	for (size_t i = index; i-- > 0;)
		if (maps->entries[i].executable && mapping_same_file(&maps->entries[i], mapping))
			return false;
	return true;
}

/* Looks into all modules whose names do, or do not, speak of Python. */
static int modules_inspect(const struct process *process, const struct maps *maps, bool named,
			   struct interpreter *interpreter, struct error *error)
{
	for (size_t i = 0; i < maps->count; i++) {
		int result;

		if (path_is_python(maps->entries[i].path) != named || !is_module(maps, i))
			continue;
		result = module_inspect(process, maps, &maps->entries[i], interpreter, error);
		if (result != -ENOENT)
			return result;
	}
	return -ENOENT;
}

static int not_python(const struct process *process, struct error *error)
{
	char link[64], path[512];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/%d/exe", process->pid);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return error_set(error, -ENOEXEC,
				 "process %d is not a CPython process (no _PyRuntime)",
				 process->pid);
	path[length] = '\0';
	return error_set(error, -ENOEXEC,
			 "process %d is not a CPython process (no _PyRuntime in %s)", process->pid,
			 path);
}

int interpreter_inspect(const struct process *process, struct interpreter *interpreter,
			struct error *error)
{
	struct maps maps;
	int result = maps_read(process, &maps);

	if (result)
		return error_set(error, result, "cannot read the mappings of process %d: %s",
				 process->pid, strerror(-result));
	result = modules_inspect(process, &maps, true, interpreter, error);
	if (result == -ENOENT)
		result = modules_inspect(process, &maps, false, interpreter, error);
	maps_free(&maps);
	if (result && !process_alive(process))
		return error_set(error, -ESRCH, "process %d has ended", process->pid);
	return result == -ENOENT ? not_python(process, error) : result;
}

void interpreter_release(struct interpreter *interpreter)
{
	free(interpreter->path);
	free(interpreter->file);
	memset(interpreter, 0, sizeof(*interpreter));
}
