/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns asking libdw for source lines (DWARF 5, chapter 6.2; older forms too). Which unit an address
 * belongs to is looked up in a list of all units' ranges, made once: .debug_aranges, by which libdw
 * would find it, is not written by every compiler. Lines are read unit by unit where addresses ask
 * for them.
 *
 * libdw opens files that debug information names, whatever they are. It is not given the occasion:
 * units that lie elsewhere (DWARF 5, chapter 7.3.2: split units) are left out, and what several
 * files share (chapter 7.3.6: supplementary files) is found here, by build-id, or not at all.
 */
#include "native/source_lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "native/debug_file.h"
#include "native/name.h"

#define DEBUG_SIZE_MAX \
	(1ULL << 30) /* bytes of all .debug_* sections, unpacked: they are all read */
#define RANGES_MAX    (1U << 22)
#define BACKWARDS_MAX 64 /* ranges that overlap, in a file that is not damaged */

struct range {
	uint64_t start; /* virtual addresses: start <= address < end */
	uint64_t end;
	Dwarf_Off unit; /* offset of its first entry in .debug_info */
};

struct path {
	const char *raw; /* as libdw has it, for one unit */
	char *shown;
	UT_hash_handle hh;
};

struct dwarf_file {
	struct elf_file file;
	Elf *elf;
	Dwarf *dwarf;
};

struct source_lines {
	struct dwarf_file main;
	struct dwarf_file shared; /* what `main` refers to; zeroed: nothing */
	struct range *ranges;     /* by start */
	size_t range_count;
	size_t range_capacity;
	struct path *paths; /* by the address of `raw` */
};

/* Bytes that a section will have in memory. */
static uint64_t unpacked_size(const struct elf_file *file, Elf_Scn *section,
			      const GElf_Shdr *header, const char *name)
{
	uint8_t start[12]; /* of .zdebug_…: "ZLIB", then the size, most significant byte first */
	GElf_Chdr compression;
	uint64_t size = 0;

	if (header->sh_flags & SHF_COMPRESSED)
		return gelf_getchdr(section, &compression) ? compression.ch_size : 0;
	if (strncmp(name, ".z", 2) != 0)
		return header->sh_size;
	if (elf_read(file, header->sh_offset, start, sizeof(start)))
		return 0;
	for (size_t i = 4; i < sizeof(start); i++)
		size = size << 8 | start[i];
	return size;
}

static const char *section_name(Elf *elf, const GElf_Shdr *header)
{
	size_t names;
	const char *name =
		elf_getshdrstrndx(elf, &names) ? NULL : elf_strptr(elf, names, header->sh_name);

	return name ? name : "";
}

/* Whether a file has debug information: 0, -ENOENT, or -EFBIG: more than is read. */
static int size_check(const struct elf_file *file, Elf *elf)
{
	Elf_Scn *section = NULL;
	uint64_t sum = 0, size;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section))) {
		const char *name;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = section_name(elf, &header);
		if (!strstr(name, "debug_"))
			continue;
		size = unpacked_size(file, section, &header, name);
		if (size > DEBUG_SIZE_MAX - sum)
			return -EFBIG;
		sum += size;
	}
	return sum ? 0 : -ENOENT;
}

/*
 * Whether the tables of strings, which libdw has unpacked, end in a NUL each: it does not look for
 * the end of a string that it finds there.
 */
static bool strings_end(Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section))) {
		const char *name;
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = section_name(elf, &header);
		if (!strstr(name, "debug_str") && !strstr(name, "debug_line_str"))
			continue;
		data = elf_rawdata(section, NULL);
		if (data && data->d_size && ((const char *)data->d_buf)[data->d_size - 1])
			return false;
	}
	return true;
}

static void dwarf_file_close(struct dwarf_file *opened)
{
	dwarf_end(opened->dwarf);
	elf_end(opened->elf);
	elf_file_close(&opened->file);
	opened->dwarf = NULL;
	opened->elf = NULL;
}

/* Takes over `*file`, also on failure. */
static int dwarf_file_open(struct elf_file *file, struct dwarf_file *opened)
{
	int error;

	*opened = (struct dwarf_file){.file = *file};
	opened->elf = elf_begin(file->fd, ELF_C_READ, NULL);
	error = opened->elf ? size_check(file, opened->elf) : -EINVAL;
	if (!error) {
		opened->dwarf = dwarf_begin_elf(opened->elf, DWARF_C_READ, NULL);
		error = !opened->dwarf ? -ENOENT : !strings_end(opened->elf) ? -EINVAL : 0;
	}
	if (error)
		dwarf_file_close(opened);
	return error;
}

/* Opens what a file shares with others. It shall not refer to more. */
static int shared_open(struct source_lines *lines, const char *const debug_roots[])
{
	const void *id;
	const char *name;
	struct elf_file found;
	ssize_t size = dwelf_dwarf_gnu_debugaltlink(lines->main.dwarf, &name, &id);
	int error;

	if (size <= 0)
		return 0;
	error = debug_file_find(id, (size_t)size, debug_roots, &found);
	if (!error)
		error = dwarf_file_open(&found, &lines->shared);
	if (error)
		return error;
	if (dwelf_dwarf_gnu_debugaltlink(lines->shared.dwarf, &name, &id) > 0)
		return -EINVAL;
	dwarf_setalt(lines->main.dwarf, lines->shared.dwarf);
	return 0;
}

static bool has_lines(const struct elf_file *file)
{
	return !elf_section_find(file, ".debug_line", NULL, NULL, NULL) ||
	       !elf_section_find(file, ".zdebug_line", NULL, NULL, NULL);
}

static int main_open(struct source_lines *lines, const struct elf_file *file,
		     const char *const debug_roots[])
{
	struct elf_file own;
	char path[64];
	int error;

	/* Anew: the owner of `file` may close it, and its path may lead elsewhere by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	error = has_lines(file) ? elf_file_open(path, &own)
				: debug_file_open(file, debug_roots, &own);
	return error ? error : dwarf_file_open(&own, &lines->main);
}

static int range_append(struct source_lines *lines, const struct range *range)
{
	if (lines->range_count == lines->range_capacity) {
		size_t capacity = lines->range_capacity ? lines->range_capacity * 2 : 256;
		struct range *grown = realloc(lines->ranges, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		lines->ranges = grown;
		lines->range_capacity = capacity;
	}
	lines->ranges[lines->range_count++] = *range;
	return 0;
}

static int unit_add(struct source_lines *lines, Dwarf_Die *die)
{
	struct range range = {.unit = dwarf_dieoffset(die)};
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		if (lines->range_count == RANGES_MAX)
			return 0;
		range.start = start;
		range.end = end;
		if (start < end && range_append(lines, &range))
			return -ENOMEM;
	}
	return 0;
}

static int compare_ranges(const void *one, const void *other)
{
	const struct range *left = one, *right = other;

	return (left->start > right->start) - (left->start < right->start);
}

/* Lists the ranges of all units that are not damaged. */
static int units_list(struct source_lines *lines)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;
	uint8_t type;

	while (!dwarf_get_units(lines->main.dwarf, unit, &unit, NULL, &type, &die, NULL)) {
		if (type == DW_UT_compile && unit_add(lines, &die))
			return -ENOMEM;
	}
	if (!lines->range_count)
		return -ENOENT;
	qsort(lines->ranges, lines->range_count, sizeof(*lines->ranges), compare_ranges);
	return 0;
}

int source_lines_open(const struct elf_file *file, const char *const debug_roots[],
		      struct source_lines **lines)
{
	struct source_lines *opened = calloc(1, sizeof(*opened));
	int error;

	if (!opened)
		return -ENOMEM;
	error = main_open(opened, file, debug_roots);
	if (!error)
		error = shared_open(opened, debug_roots);
	if (!error)
		error = units_list(opened);
	if (error)
		source_lines_close(opened);
	else
		*lines = opened;
	return error;
}

void source_lines_close(struct source_lines *lines)
{
	struct path *path, *next;

	if (!lines)
		return;
	HASH_ITER (hh, lines->paths, path, next) {
		HASH_DEL(lines->paths, path);
		free(path->shown);
		free(path);
	}
	free(lines->ranges);
	dwarf_file_close(&lines->main);
	dwarf_file_close(&lines->shared);
	free(lines);
}

/* The range that holds an address; of several, one that starts last. */
static const struct range *range_find(const struct source_lines *lines, uint64_t address)
{
	size_t low = 0, high = lines->range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lines->ranges[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (int i = 0; low && i < BACKWARDS_MAX; i++, low--)
		if (address < lines->ranges[low - 1].end)
			return &lines->ranges[low - 1];
	return NULL;
}

/* Where the last component of a path begins which ends in a slash at `end`. */
static char *component_start(char *start, char *end)
{
	char *slash = end > start ? memrchr(start, '/', (size_t)(end - 1 - start)) : NULL;

	return slash ? slash + 1 : start;
}

/*
 * Takes out `.`, and `..` together with what is before it: units spell one and the same file
 * differently, by the directories that they are compiled in.
 */
static void path_simplify(char *path)
{
	char *start = path + (path[0] == '/'), *end = start;
	bool more = true;

	for (const char *at = start; more;) {
		size_t size = strcspn(at, "/");
		char *last = component_start(start, end);

		more = at[size] == '/';
		if (size == 2 && !memcmp(at, "..", 2) && end > start &&
		    strncmp(last, "../", 3) != 0) {
			end = last;
		} else if (size && !(size == 1 && *at == '.')) {
			memmove(end, at, size);
			end += size;
			*end++ = '/';
		}
		at += size + 1;
	}
	if (end > start)
		end--;
	*end = '\0';
}

/* The path of a row's file as it was for the compiler: most are relative to where it ran. */
static char *path_make(Dwarf_Line *row, const char *raw)
{
	const char *const *directories = NULL, *directory = NULL;
	char *joined, *clean;
	Dwarf_Files *files;
	size_t count, index;

	if (raw[0] != '/' && !dwarf_line_file(row, &files, &index) &&
	    !dwarf_getsrcdirs(files, &directories, &count) && count)
		directory = directories[0];
	if (asprintf(&joined, "%.*s%s%.*s", NAME_BYTES_MAX, directory ? directory : "",
		     directory ? "/" : "", NAME_BYTES_MAX, raw) < 0)
		return NULL;
	path_simplify(joined);
	clean = name_clean(joined, SIZE_MAX);
	free(joined);
	return clean;
}

/* The path of a row's file, as it is shown, or NULL. */
static const char *path_show(struct source_lines *lines, Dwarf_Line *row, const char *raw)
{
	struct path *path;

	HASH_FIND_PTR(lines->paths, &raw, path);
	if (path)
		return path->shown;
	path = calloc(1, sizeof(*path));
	if (!path)
		return NULL;
	path->raw = raw;
	path->shown = path_make(row, raw);
	if (!path->shown) {
		free(path);
		return NULL;
	}
	HASH_ADD_PTR(lines->paths, raw, path);
	return path->shown;
}

int source_lines_find(struct source_lines *lines, uint64_t address, const char **file,
		      int32_t *line)
{
	const struct range *range = range_find(lines, address);
	Dwarf_Line *row;
	const char *path;
	Dwarf_Die unit;
	int number;

	if (!range || !dwarf_offdie(lines->main.dwarf, range->unit, &unit))
		return -ENOENT;
	row = dwarf_getsrc_die(&unit, address);
	/* Line 0 is the compiler's own code, of no line. */
	if (!row || dwarf_lineno(row, &number) || number <= 0)
		return -ENOENT;
	path = dwarf_linesrc(row, NULL, NULL);
	path = path ? path_show(lines, row, path) : NULL;
	if (!path)
		return -ENOENT;
	*file = path;
	*line = number;
	return 0;
}
