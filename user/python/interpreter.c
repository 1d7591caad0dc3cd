/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns finding the CPython of a process: the mapped file that defines _PyRuntime, its version, its
 * addresses. What the file itself says comes from programs.c, the layout from offsets.c, its proof
 * from check.c.
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

#include "native/elf.h"
#include "python/check.h"
#include "python/offsets.h"
#include "python/programs.h"
#include "target/maps.h"

#define TYPE_DEALLOC     48         /* offset of PyTypeObject.tp_dealloc, all versions */
#define CHECK_ATTEMPTS   20         /* the target runs while it is read */
#define CHECK_PAUSE_NS   1000000    /* between two attempts */
#define STARTING_SECONDS 2          /* a process this young may still be initialising itself */
#define DATA_SIZE_MAX    (32 << 20) /* bytes of a module's data that are searched */
#define DATA_PARTS_MAX   16         /* mappings of a module's data that are searched */
#define VERSION_TEXT_MAX 200        /* bytes of Py_GetVersion()'s text up to the compiler */
#define MODULES_MAX      8192       /* mapped files that are looked into; no program has as many */
#define SUPPORTED        "CPython 3.7 to 3.15 are"

/* What is looked into. */
struct inspection {
	struct programs *programs; /* NULL: nothing is remembered */
	const struct process *process;
	const struct maps *maps;
	const struct mapping **modules; /* the first executable mapping of each mapped file */
	size_t count;
	char *unreadable; /* the path of one that there is no right to read; NULL: of none */
};

/* A file that the process has mapped, and all that is being found out about it. */
struct module {
	const struct process *process;
	const struct maps *maps;
	const struct mapping *text; /* its first executable mapping */
	struct program_file file;
	uint64_t bias;
};

/* Where the file's virtual addresses lie. */
static void module_place(struct module *module)
{
	module->bias = module->text->start - module->text->offset + module->file.image->shift;
}

/* The address in the process of what the file places at `value`; 0: it places it nowhere. */
static uint64_t module_address(const struct module *module, uint64_t value)
{
	return value ? value + module->bias : 0;
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

/*
 * Searches a part of the process' memory for its version text; copies the first word of it. Returns
 * its address, 0: not found.
 */
static uint64_t version_search(const struct process *process, uint64_t start, uint64_t end,
			       char *version, size_t size)
{
	uint64_t length = end - start < DATA_SIZE_MAX ? end - start : DATA_SIZE_MAX;
	char *data = malloc(length), *at;
	uint64_t found = 0;

	if (!data)
		return 0;
	at = data;
	if (process_read(process, start, data, length))
		length = 0;
	while (!found && (at = memmem(at, length - (size_t)(at - data), " (", 2))) {
		char *first = at;

		while (first > data && at - first < 24 && first[-1] > ' ')
			first--;
		if (is_version_text(first, length - (size_t)(first - data))) {
			snprintf(version, size, "%.*s", (int)(at - first), first);
			found = start + (uint64_t)(first - data);
		}
		at++;
	}
	free(data);
	return found;
}

/* The version, where another process that maps the file had it: read and checked anew. */
static bool version_where_known(const struct module *module, char *version, size_t size)
{
	uint64_t address = module_address(module, module->file.image->version_text);
	char text[VERSION_TEXT_MAX + 1] = "";

	if (!address || process_read(module->process, address, text, VERSION_TEXT_MAX) ||
	    !is_version_text(text, VERSION_TEXT_MAX))
		return false;
	snprintf(version, size, "%.*s", (int)strcspn(text, " "), text);
	return true;
}

/*
 * The version out of the buffer that Py_GetVersion() keeps in the module's data, filled when
 * sys.version is made. Its data are the writable mappings of the file, and what follows them (bss).
 */
static bool version_from_data(const struct module *module, char *version, size_t size)
{
	const struct maps *maps = module->maps;
	uint64_t end = 0, found;
	int parts = 0;

	if (version_where_known(module, version, size))
		return true;
	for (size_t i = 0; i < maps->count && parts < DATA_PARTS_MAX; i++) {
		const struct mapping *mapping = &maps->entries[i];
		bool same = mapping_same_file(mapping, module->text);

		if (same)
			end = mapping->end;
		else if (mapping->start != end || mapping->inode || *mapping->path)
			continue;
		if (!mapping->writable)
			continue;
		parts++;
		found = version_search(module->process, mapping->start, mapping->end, version,
				       size);
		if (!found)
			continue;
		module->file.image->version_text = found - module->bias;
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
	uint64_t address = module_address(module, module->file.image->version);
	unsigned int major = 0, minor = 0;
	uint32_t hex;

	if (address && !process_read(module->process, address, &hex, sizeof(hex)))
		version_format(hex, found->version, sizeof(found->version));
	else if (!version_from_data(module, found->version, sizeof(found->version)))
		return error_set(error, -EAGAIN, "%s has not said its version: it may be starting",
				 module->text->path);
	/* The dynamic linker maps a file's data after its text: what is there now may be other bytes. */
	if (sscanf(found->version, "%u.%u", &major, &minor) == 2 &&
	    PYTHON_VERSION(major, minor) >= PYTHON_VERSION_DEBUG_OFFSETS &&
	    PYTHON_VERSION(major, minor) <= PYTHON_VERSION_NEWEST)
		return error_set(error, -EAGAIN, "%s has not told its offsets: it may be starting",
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
	int result;

	if (debug_offsets_version(bytes, size, &hex, &free_threaded))
		return layout_of_old(module, found, error);
	version_format(hex, found->version, sizeof(found->version));
	if (hex >> 16 < PYTHON_VERSION_DEBUG_OFFSETS || hex >> 16 > PYTHON_VERSION_NEWEST)
		return version_refuse(found->version, module->text->path, error);
	result = layout_from_debug_offsets(bytes, size, &found->layout, error);
	return result == -EINVAL ? -EPROTO : result;
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

/* Where a probe on a function at this offset of the file goes; 0: there it would be dear. */
static uint64_t collector_probe(const struct elf_file *elf, const struct elf_symbol *symbol)
{
	uint64_t offset;
	uint8_t code[8];

	if (symbol->type != STT_FUNC || elf_offset_of(elf, symbol->value, &offset) ||
	    elf_read(elf, offset, code, sizeof(code)))
		return 0;
	if (!memcmp(code, branch_target, sizeof(branch_target))) {
		offset += sizeof(branch_target);
		memmove(code, code + sizeof(branch_target), sizeof(code) - sizeof(branch_target));
	}
	return is_cheap(code) ? offset : 0;
}

/*
 * The function that runs a collection (Modules/gcmodule.c, Python/gc.c), static in all versions, so
 * that only the table of all symbols has it, and a compiler may have made others of it. 3.14 has
 * changed it again and again.
 */
static void collectors_look(const struct module *module, uint32_t version,
			    struct python_image *image)
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
	struct elf_symbol symbol;
	struct elf_file elf;
	uint32_t count = 0, i;

	image->collectors_known = true;
	if (elf_file_open(module->file.path, &elf))
		return;
	for (i = 0; i < sizeof(names) / sizeof(*names) && count < COLLECTORS_MAX; i++) {
		if (version < names[i].first || version > names[i].last ||
		    elf_symbol_find(&elf, names[i].name, ELF_ALL_SYMBOLS, &symbol))
			continue;
		image->collectors[count] = collector_probe(&elf, &symbol);
		count += !!image->collectors[count];
	}
	elf_file_close(&elf);
}

static void collectors_find(const struct module *module, struct interpreter *found)
{
	struct python_image *image = module->file.image;

	if (!image->collectors_known)
		collectors_look(module, found->layout.version, image);
	memcpy(found->collectors, image->collectors, sizeof(found->collectors));
}

/* Finds out where in the file a probe on the function at `offset` goes. */
static int dealloc_look(const struct module *module, uint64_t offset, struct python_image *image)
{
	struct elf_file elf;
	uint8_t code[8];
	int result = elf_file_open(module->file.path, &elf);

	if (result)
		return result;
	/* From the file: in memory another probe's breakpoint may lie there. */
	result = elf_read(&elf, offset, code, sizeof(code));
	elf_file_close(&elf);
	if (result)
		return result;
	if (!memcmp(code, branch_target, sizeof(branch_target)) &&
	    is_cheap(code + sizeof(branch_target))) {
		offset += sizeof(branch_target);
		memmove(code, code + sizeof(branch_target), sizeof(code) - sizeof(branch_target));
	}
	image->dealloc_offset = offset;
	image->dealloc_cheap = is_cheap(code);
	return 0;
}

/* Where to put a probe on the function that frees code objects. Not finding it is no failure. */
static void code_dealloc_find(const struct module *module, struct interpreter *found)
{
	struct python_image *image = module->file.image;
	const struct mapping *mapping;
	uint64_t address;

	if (process_read(module->process, found->code_type + TYPE_DEALLOC, &address,
			 sizeof(address)))
		return;
	mapping = maps_find(module->maps, address);
	if (!mapping || !mapping->executable || !mapping_same_file(mapping, module->text))
		return;
	if (image->dealloc != address - module->bias) {
		if (dealloc_look(module, address - mapping->start + mapping->offset, image))
			return;
		image->dealloc = address - module->bias;
	}
	found->code_dealloc = (struct code_dealloc){
		.address = address, .offset = image->dealloc_offset, .cheap = image->dealloc_cheap};
}

/*
 * Where the interpreter's loop lies: its body and, if the compiler has moved one out, its unlikely
 * part. Not finding it is no failure: native frames of the loop are then shown as such.
 */
static void loop_set(const struct module *module, struct interpreter *found)
{
	const struct python_image *image = module->file.image;

	for (int i = 0; i < 2; i++) {
		found->loop_start[i] = module_address(module, image->loop_start[i]);
		found->loop_end[i] = module_address(module, image->loop_end[i]);
	}
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

/* Fills *found from a module that has _PyRuntime. */
static int interpreter_fill(const struct module *module, struct interpreter *found,
			    struct error *error)
{
	const struct python_image *image = module->file.image;
	int result;

	found->runtime = module_address(module, image->runtime);
	result = layout_find(module, found, error);
	if (result)
		return result;
	found->code_type = module_address(module, image->code_type);
	result = layout_prove(module->process, found, error);
	if (result)
		return result;
	if (found->layout.frame_model == FRAME_MODEL_OBJECT)
		found->frame_type = module_address(module, image->frame_type);
	text_range_set(module, found);
	code_dealloc_find(module, found);
	collectors_find(module, found);
	if (found->layout.version < PYTHON_VERSION(3, 11))
		loop_set(module, found);
	found->path = strdup(module->text->path);
	found->file = strdup(module->file.path);
	if (!found->path || !found->file)
		return error_set(error, -ENOMEM, "no memory");
	return 0;
}

/* An interpreter from before _PyRuntime: said by name, so that nobody looks for another reason. */
static int ancient_refuse(const struct module *module, struct error *error)
{
	char version[32];

	if (!version_from_data(module, version, sizeof(version)))
		snprintf(version, sizeof(version), "3.6 or older");
	return version_refuse(version, module->text->path, error);
}

/* Looks into the process with what is known of one of its files. -ENOENT: no interpreter. */
static int image_inspect(struct module *module, struct interpreter *interpreter,
			 struct error *error)
{
	struct interpreter found = {.version = ""};
	int result;

	module_place(module);
	if (module->file.image->kind == IMAGE_OTHER)
		return -ENOENT;
	if (module->file.image->kind == IMAGE_ANCIENT)
		return ancient_refuse(module, error);
	result = interpreter_fill(module, &found, error);
	if (result)
		interpreter_release(&found);
	else
		*interpreter = found;
	return result;
}

static int module_inspect(struct inspection *inspection, const struct mapping *text,
			  struct interpreter *interpreter, struct error *error)
{
	struct module module = {
		.process = inspection->process, .maps = inspection->maps, .text = text};
	int result = programs_image(inspection->programs, module.process, text, &module.file);

	if ((result == -EACCES || result == -EPERM) && !inspection->unreadable)
		inspection->unreadable = strdup(text->path);
	if (result)
		return result == -ENOMEM ? result : -ENOENT;
	result = image_inspect(&module, interpreter, error);
	/* Two files may have been taken for one: the process has the last word. */
	if (result == -EPROTO && module.file.remembered && programs_image_again(text, &module.file))
		result = image_inspect(&module, interpreter, error);
	return result;
}

static int file_compare(const struct mapping *one, const struct mapping *other)
{
	if (one->inode != other->inode)
		return one->inode < other->inode ? -1 : 1;
	if (one->device_major != other->device_major)
		return one->device_major < other->device_major ? -1 : 1;
	if (one->device_minor != other->device_minor)
		return one->device_minor < other->device_minor ? -1 : 1;
	return strcmp(one->path, other->path);
}

/* By file, then by address. */
static int module_compare(const void *left, const void *right)
{
	const struct mapping *one = *(const struct mapping *const *)left;
	const struct mapping *other = *(const struct mapping *const *)right;
	int order = file_compare(one, other);

	return order ? order : (one > other) - (one < other);
}

/* The files whose names speak of Python first: one of these it is nearly always. */
static int module_promise(const void *left, const void *right)
{
	const struct mapping *one = *(const struct mapping *const *)left;
	const struct mapping *other = *(const struct mapping *const *)right;
	int promise = image_is_named(other->path) - image_is_named(one->path);

	return promise ? promise : (one > other) - (one < other);
}

/* Collects the first executable mapping of each file, in the order to look into them. */
static int modules_collect(struct inspection *inspection)
{
	const struct maps *maps = inspection->maps;
	const struct mapping **modules = malloc((maps->count + 1) * sizeof(const void *));
	size_t mapped = 0, count = 0;

	if (!modules)
		return -ENOMEM;
	for (size_t i = 0; i < maps->count; i++) {
		const struct mapping *mapping = &maps->entries[i];

		if (mapping->executable && mapping->inode && *mapping->path == '/')
			modules[mapped++] = mapping;
	}
	qsort(modules, mapped, sizeof(*modules), module_compare);
	for (size_t i = 0; i < mapped; i++)
		if (!count || file_compare(modules[count - 1], modules[i]))
			modules[count++] = modules[i];
	qsort(modules, count, sizeof(*modules), module_promise);
	inspection->modules = modules;
	inspection->count = count < MODULES_MAX ? count : MODULES_MAX;
	return 0;
}

static int modules_inspect(struct inspection *inspection, struct interpreter *interpreter,
			   struct error *error)
{
	int result = modules_collect(inspection);

	if (result)
		return error_set(error, result, "no memory");
	result = -ENOENT;
	for (size_t i = 0; result == -ENOENT && i < inspection->count; i++)
		result = module_inspect(inspection, inspection->modules[i], interpreter, error);
	free(inspection->modules);
	return result;
}

static int not_python(const struct process *process, const char *unreadable, struct error *error)
{
	char link[64], path[512];
	ssize_t length;

	if (unreadable)
		return error_set(error, -EACCES,
				 "no right to read %s, which process %d runs: run as root, or "
				 "grant CAP_DAC_READ_SEARCH",
				 unreadable, process->pid);
	snprintf(link, sizeof(link), "/proc/%d/exe", process->door);
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

int interpreter_inspect_known(struct programs *programs, const struct process *process,
			      struct interpreter *interpreter, struct error *error)
{
	struct maps maps;
	struct inspection inspection = {.programs = programs, .process = process, .maps = &maps};
	int result = maps_read(process, &maps);

	if (result)
		return error_set(error, result, "cannot read the mappings of process %d: %s",
				 process->pid, strerror(-result));
	result = modules_inspect(&inspection, interpreter, error);
	maps_free(&maps);
	if (result && !process_alive(process))
		result = error_set(error, -ESRCH, "process %d has ended", process->pid);
	else if (result == -ENOENT)
		result = not_python(process, inspection.unreadable, error);
	free(inspection.unreadable);
	return result;
}

int interpreter_inspect(const struct process *process, struct interpreter *interpreter,
			struct error *error)
{
	return interpreter_inspect_known(NULL, process, interpreter, error);
}

void interpreter_release(struct interpreter *interpreter)
{
	free(interpreter->path);
	free(interpreter->file);
	memset(interpreter, 0, sizeof(*interpreter));
}
