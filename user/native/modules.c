/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the list of mapped files; see modules.h. */
#include "native/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uthash.h>

#include "native/cfi.h"
#include "path.h"
#include "profile/utf8.h"

#define VDSO         "[vdso]"
#define VDSO_MAX     (1 << 20)
#define IDENTITY_MAX (2 * ELF_BUILD_ID_MAX + 64)
#define DEBUG_ROOT   "/usr/lib/debug"

struct module_names {
	struct symbols *symbols;
	struct source_lines *lines;
	bool lines_tried;
	char debug_root[PROCESS_PATH_SIZE]; /* of the process that mapped it first */
};

/* What a mapping is known by before its file is opened, and a file by its contents. */
struct module_key {
	char text[IDENTITY_MAX];
	struct module *module;
	UT_hash_handle hh;
};

struct modules {
	struct module **all; /* by number - 1 */
	uint32_t count, room;
	struct module_key *keys;
};

struct modules *modules_new(void)
{
	return calloc(1, sizeof(struct modules));
}

static void module_free(struct module *module)
{
	if (module->names) {
		symbols_free(module->names->symbols);
		source_lines_close(module->names->lines);
		free(module->names);
	}
	elf_file_close(&module->elf);
	free(module->path);
	free(module->build_id);
	free(module);
}

void modules_free(struct modules *modules)
{
	struct module_key *key, *next;
	uint32_t i;

	if (!modules)
		return;
	HASH_ITER (hh, modules->keys, key, next) {
		HASH_DEL(modules->keys, key);
		free(key);
	}
	for (i = 0; i < modules->count; i++)
		module_free(modules->all[i]);
	free(modules->all);
	free(modules);
}

struct module *modules_find(const struct modules *modules, uint16_t number)
{
	return number && number <= modules->count ? modules->all[number - 1] : NULL;
}

uint32_t modules_count(const struct modules *modules)
{
	return modules->count;
}

static struct module *key_find(const struct modules *modules, const char *text)
{
	struct module_key *key;

	HASH_FIND_STR(modules->keys, text, key);
	return key ? key->module : NULL;
}

static int key_add(struct modules *modules, const char *text, struct module *module)
{
	struct module_key *key = calloc(1, sizeof(*key));

	if (!key)
		return -ENOMEM;
	snprintf(key->text, sizeof(key->text), "%s", text);
	key->module = module;
	HASH_ADD_STR(modules->keys, text, key);
	return 0;
}

/* Copies the vDSO out of the process: the kernel's own image, which is no file. */
static int vdso_open(const struct process *process, const struct mapping *mapping,
		     struct elf_file *elf)
{
	uint64_t size = mapping->end - mapping->start;
	char path[64];
	uint8_t *bytes;
	int descriptor, error;

	if (size > VDSO_MAX)
		return -ENOEXEC;
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	descriptor = memfd_create("vdso", MFD_CLOEXEC);
	error = descriptor < 0 ? -errno : process_read(process, mapping->start, bytes, size);
	if (!error && write(descriptor, bytes, size) != (ssize_t)size)
		error = -EIO;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
	if (!error)
		error = elf_file_open(path, elf);
	if (descriptor >= 0)
		close(descriptor);
	free(bytes);
	return error;
}

static int module_open(const struct process *process, const struct mapping *mapping,
		       struct elf_file *elf)
{
	if (!strcmp(mapping->path, VDSO))
		return vdso_open(process, mapping, elf);
	return elf_file_open_mapping(process, mapping, elf);
}

static int build_id_text(const struct elf_file *elf, char text[2 * ELF_BUILD_ID_MAX + 1])
{
	uint8_t bytes[ELF_BUILD_ID_MAX];
	int length = elf_build_id(elf, bytes), i;

	text[0] = '\0';
	for (i = 0; i < length; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return length;
}

/* glibc's and musl's parts; up to glibc 2.33 there are several. */
static bool path_is_runtime(const char *path)
{
	static const char *const names[] = {"libc.",       "libc-",       "libm.",  "libm-",
					    "libpthread.", "libpthread-", "libdl.", "ld-"};
	const char *name = path_base_name(path);
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return !strcmp(path, VDSO);
}

/* Takes over *elf, also on failure. */
static int module_add(struct modules *modules, const struct process *process,
		      const struct mapping *mapping, struct elf_file *elf, const char *build_id,
		      struct module **added)
{
	struct module *module = calloc(1, sizeof(*module));
	struct module **grown;

	if (!module) {
		elf_file_close(elf);
		return -ENOMEM;
	}
	module->elf = *elf;
	module->path = utf8_repair(mapping->path);
	module->build_id = strdup(build_id);
	module->runtime = path_is_runtime(mapping->path);
	module->names = calloc(1, sizeof(*module->names));
	if (!module->path || !module->build_id || !module->names)
		goto no_memory;
	if (process_root_path(process, DEBUG_ROOT, module->names->debug_root,
			      sizeof(module->names->debug_root)))
		module->names->debug_root[0] = '\0';
	if (modules->count == modules->room) {
		uint32_t room = modules->room ? 2 * modules->room : 64;

		grown = realloc(modules->all, room * sizeof(*grown));
		if (!grown)
			goto no_memory;
		modules->all = grown;
		modules->room = room;
	}
	modules->all[modules->count++] = module;
	module->number = (uint16_t)modules->count;
	*added = module;
	return 0;
no_memory:
	module_free(module);
	return -ENOMEM;
}

/* Opens the file and sees whether it is known by its build-id. */
static int module_identify(struct modules *modules, const struct process *process,
			   const struct mapping *mapping, struct module **module)
{
	char text[2 * ELF_BUILD_ID_MAX + 1];
	struct elf_file elf;
	struct module *known;
	int error = module_open(process, mapping, &elf);

	if (error)
		return error == -ENOMEM ? error : -ENOENT;
	known = build_id_text(&elf, text) > 0 ? key_find(modules, text) : NULL;
	if (known) {
		elf_file_close(&elf);
		*module = known;
		return 0;
	}
	if (modules->count == MODULES_MAX) {
		elf_file_close(&elf);
		return -E2BIG;
	}
	error = module_add(modules, process, mapping, &elf, text, module);
	if (!error && *text)
		error = key_add(modules, text, *module);
	return error;
}

int modules_take(struct modules *modules, const struct process *process,
		 const struct mapping *mapping, struct module **module)
{
	bool vdso = !strcmp(mapping->path, VDSO);
	struct module *found;
	char key[IDENTITY_MAX];
	int error;

	if (!mapping->inode && !vdso)
		return -ENOENT;
	/* Paths differ between mount namespaces, and inodes between file systems of one number. */
	snprintf(key, sizeof(key), "%" PRIx32 ":%" PRIx32 " %" PRIu64 " %.48s",
		 mapping->device_major, mapping->device_minor, mapping->inode,
		 path_base_name(mapping->path));
	found = key_find(modules, key);
	if (!found) {
		error = module_identify(modules, process, mapping, &found);
		if (!error)
			error = key_add(modules, key, found);
		if (error)
			return error;
	}
	*module = found;
	return 0;
}

static void debug_roots_fill(const struct module *module, const char *roots[3])
{
	const char *root = module->names->debug_root;

	roots[0] = *root ? root : DEBUG_ROOT;
	roots[1] = *root ? DEBUG_ROOT : NULL;
	roots[2] = NULL;
}

static int symbols_load(struct module *module)
{
	const char *roots[3];
	int error;

	if (module->names->symbols)
		return 0;
	debug_roots_fill(module, roots);
	error = symbols_read(&module->elf, roots, &module->names->symbols);
	return error == -ENOMEM ? error : 0;
}

static void lines_load(struct module *module)
{
	const char *roots[3];

	if (module->names->lines_tried)
		return;
	module->names->lines_tried = true;
	debug_roots_fill(module, roots);
	source_lines_open(&module->elf, roots, &module->names->lines);
}

int module_name(struct module *module, uint64_t address, bool lines, struct module_place *place)
{
	struct symbol_place symbol;
	uint64_t end;
	int error = symbols_load(module);

	if (error)
		return error;
	memset(place, 0, sizeof(*place));
	error = module->names->symbols ? symbols_find(module->names->symbols, address, &symbol)
				       : -ENOENT;
	if (error == -ENOMEM)
		return error;
	if (!error) {
		place->name = symbol.name;
		place->start = symbol.start;
	} else if (cfi_find_in_file(&module->elf, address, &place->start, &end)) {
		place->start = address;
	}
	if (lines)
		lines_load(module);
	if (lines && module->names->lines)
		source_lines_find(module->names->lines, address, &place->source, &place->line);
	return 0;
}
