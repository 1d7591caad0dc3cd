/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading ELF files with libelf. The file is read, not mapped: a file that shrinks meanwhile
 * gives an error and no SIGBUS. libelf checks sections against the file's size; what their contents
 * point to is checked here.
 */
#include "native/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION_SIZE_MAX (32ULL << 20)  /* bytes of one section that are read into memory */
#define STRINGS_SIZE_MAX (128ULL << 20) /* the same of names */
#define SECTIONS_MAX     16384 /* libelf makes 200 bytes of each; linkers make some dozens */
#define SEGMENTS_MAX     4096
#define PAGE_MASK_MIN    0xfffULL /* of the smallest page; segments are mapped in pages */

static Elf *elf_of(const struct elf_file *file)
{
	return file->handle;
}

static int header_check(Elf *elf)
{
	const unsigned char native =
		__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	GElf_Ehdr header;

	if (elf_kind(elf) != ELF_K_ELF || gelf_getclass(elf) != ELFCLASS64)
		return -ENOEXEC;
	if (!gelf_getehdr(elf, &header) || header.e_ident[EI_DATA] != native)
		return -ENOEXEC;
	return 0;
}

/*
 * libelf allocates by the counts that the file claims, and of a sparse file nothing says that they
 * are wrong. Too large ones for their fields are in the first section's header (gABI, chapter 4).
 */
static int counts_check(const struct elf_file *file)
{
	uint64_t sections, segments;
	Elf64_Ehdr header;
	Elf64_Shdr first;

	if (elf_read(file, 0, &header, sizeof(header)))
		return -ENOEXEC;
	sections = header.e_shnum;
	segments = header.e_phnum;
	if (header.e_shoff && (!sections || segments == PN_XNUM)) {
		if (elf_read(file, header.e_shoff, &first, sizeof(first)))
			return -EINVAL;
		sections = sections ? sections : first.sh_size;
		segments = segments == PN_XNUM ? first.sh_info : segments;
	}
	return sections > SECTIONS_MAX || segments > SEGMENTS_MAX ? -EINVAL : 0;
}

int elf_file_open(const char *path, struct elf_file *file)
{
	struct elf_file opened = {.fd = -1};
	struct stat status;
	int error;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOTSUP;
	/* A target names this path: a FIFO must not hold us up, a terminal not become ours. */
	opened.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (opened.fd < 0)
		return -errno;
	error = fstat(opened.fd, &status) ? -errno : S_ISREG(status.st_mode) ? 0 : -ENOEXEC;
	if (error)
		goto fail;
	opened.size = (uint64_t)status.st_size;
	error = counts_check(&opened);
	if (error)
		goto fail;
	opened.handle = elf_begin(opened.fd, ELF_C_READ, NULL);
	error = opened.handle ? header_check(opened.handle) : -EINVAL;
	if (error)
		goto fail;
	opened.path = strdup(path);
	if (!opened.path) {
		error = -ENOMEM;
		goto fail;
	}
	*file = opened;
	return 0;
fail:
	elf_file_close(&opened);
	return error;
}

/* Opens `path` if it still is the file that was mapped. */
static int open_same(const char *path, const struct mapping *mapping, struct elf_file *file)
{
	struct elf_file opened;
	struct stat status;
	int error = elf_file_open(path, &opened);

	if (error)
		return error;
	/* The device is not compared: btrfs and overlayfs show another one in maps than in stat. */
	if (fstat(opened.fd, &status) || status.st_ino != mapping->inode) {
		elf_file_close(&opened);
		return -ESTALE;
	}
	*file = opened;
	return 0;
}

/* The same of a path that is not opened: its stat(). */
static int stat_same(const char *path, const struct mapping *mapping, struct stat *status)
{
	if (stat(path, status))
		return -errno;
	return status->st_ino == mapping->inode ? 0 : -ESTALE;
}

int mapping_file_path(const struct process *process, const struct mapping *mapping, char *path,
		      size_t size, struct stat *status)
{
	int length = snprintf(path, size, "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, process->door,
			      mapping->start, mapping->end);
	int error;

	if (length < 0 || (size_t)length >= size)
		return -ENAMETOOLONG;
	if (!stat(path, status))
		return 0;
	snprintf(path, size, "/proc/%d/exe", process->door);
	if (!stat_same(path, mapping, status))
		return 0;
	error = process_root_path(process, mapping->path, path, size);
	return error ? error : stat_same(path, mapping, status);
}

int elf_file_open_mapping(const struct process *process, const struct mapping *mapping,
			  struct elf_file *file)
{
	char path[PROCESS_PATH_SIZE + 32];
	int error;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, process->door,
		 mapping->start, mapping->end);
	error = elf_file_open(path, file);
	if (!error || error == -ENOEXEC || error == -EINVAL || error == -ENOMEM)
		return error;
	snprintf(path, sizeof(path), "/proc/%d/exe", process->door);
	if (!open_same(path, mapping, file))
		return 0;
	error = process_root_path(process, mapping->path, path, sizeof(path));
	return error ? error : open_same(path, mapping, file);
}

void elf_file_close(struct elf_file *file)
{
	if (file->handle)
		elf_end(file->handle);
	if (file->fd > 0)
		close(file->fd);
	free(file->path);
	memset(file, 0, sizeof(*file));
	file->fd = -1;
}

/* The contents of a section: its first and only data block, or NULL. */
static Elf_Data *section_data(Elf_Scn *section, const GElf_Shdr *header)
{
	if (header->sh_type == SHT_NOBITS || header->sh_size > SECTION_SIZE_MAX)
		return NULL;
	return elf_getdata(section, NULL);
}

static Elf_Scn *section_of_type(Elf *elf, GElf_Word type, GElf_Shdr *header)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, header) && header->sh_type == type)
			return section;
	return NULL;
}

/* A name of a string table; NULL: there is none. */
static const char *name_at(Elf *elf, size_t table, uint64_t offset)
{
	Elf_Scn *section = elf_getscn(elf, table);
	GElf_Shdr header;

	if (!section || !gelf_getshdr(section, &header) || header.sh_size > STRINGS_SIZE_MAX)
		return NULL;
	return elf_strptr(elf, table, offset);
}

static bool symbol_matches(Elf *elf, const GElf_Shdr *header, const GElf_Sym *symbol,
			   const char *name)
{
	const char *found;

	if (symbol->st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol->st_info) == STT_TLS)
		return false;
	found = name_at(elf, header->sh_link, symbol->st_name);
	return found && !strcmp(found, name);
}

static int table_search(Elf *elf, GElf_Word type, const char *name, struct elf_symbol *symbol)
{
	GElf_Shdr header;
	Elf_Scn *section = section_of_type(elf, type, &header);
	Elf_Data *data;
	size_t count;

	if (!section)
		return -ENOENT;
	data = section_data(section, &header);
	if (!data || header.sh_entsize != sizeof(Elf64_Sym))
		return -EINVAL;
	count = data->d_size / sizeof(Elf64_Sym);
	for (size_t i = 0; i < count && i <= INT32_MAX; i++) {
		GElf_Sym found;

		if (!gelf_getsym(data, (int)i, &found))
			return -EINVAL;
		if (!symbol_matches(elf, &header, &found, name))
			continue;
		*symbol = (struct elf_symbol){.value = found.st_value,
					      .size = found.st_size,
					      .type = GELF_ST_TYPE(found.st_info)};
		return 0;
	}
	return -ENOENT;
}

int elf_symbol_find(const struct elf_file *file, const char *name, enum elf_tables tables,
		    struct elf_symbol *symbol)
{
	int dynamic = table_search(elf_of(file), SHT_DYNSYM, name, symbol), all;

	if (!dynamic || tables == ELF_DYNAMIC_ONLY)
		return dynamic;
	all = table_search(elf_of(file), SHT_SYMTAB, name, symbol);
	return all == -ENOENT ? dynamic : all;
}

int elf_section_find(const struct elf_file *file, const char *name, uint64_t *value,
		     uint64_t *offset, uint64_t *size)
{
	Elf *elf = elf_of(file);
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return -EINVAL;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *found;

		if (!gelf_getshdr(section, &header))
			return -EINVAL;
		found = name_at(elf, names, header.sh_name);
		if (!found || strcmp(found, name))
			continue;
		if (value)
			*value = header.sh_addr;
		if (offset)
			*offset = header.sh_offset;
		if (size)
			*size = header.sh_size;
		return 0;
	}
	return -ENOENT;
}

/*
 * Hands the texts of all entries of one tag in the dynamic section to `visit`, until that returns
 * something else than -ENOENT. A string that the file does not have is -EINVAL.
 */
static int dynamic_visit(Elf *elf, GElf_Sxword tag, int (*visit)(const char *text, void *context),
			 void *context)
{
	GElf_Shdr header;
	GElf_Dyn entry;
	Elf_Scn *section = section_of_type(elf, SHT_DYNAMIC, &header);
	Elf_Data *data;

	if (!section)
		return -ENOENT;
	data = section_data(section, &header);
	if (!data)
		return -EINVAL;
	for (int i = 0; gelf_getdyn(data, i, &entry) && entry.d_tag != DT_NULL; i++) {
		const char *text;
		int result;

		if (entry.d_tag != tag)
			continue;
		text = name_at(elf, header.sh_link, entry.d_un.d_val);
		result = text ? visit(text, context) : -EINVAL;
		if (result != -ENOENT)
			return result;
	}
	return -ENOENT;
}

struct text_buffer {
	char *bytes;
	size_t size;
};

static int soname_copy(const char *text, void *context)
{
	struct text_buffer *buffer = context;

	if (strlen(text) >= buffer->size)
		return -ENOSPC;
	strcpy(buffer->bytes, text);
	return 0;
}

int elf_soname(const struct elf_file *file, char *buffer, size_t size)
{
	struct text_buffer to = {.bytes = buffer, .size = size};

	return dynamic_visit(elf_of(file), DT_SONAME, soname_copy, &to);
}

static int needed_compare(const char *text, void *context)
{
	return strncmp(text, context, strlen(context)) ? -ENOENT : 0;
}

bool elf_needs(const struct elf_file *file, const char *start)
{
	return !dynamic_visit(elf_of(file), DT_NEEDED, needed_compare, (void *)start);
}

/* Looks for the build-id in one block of notes. */
static int notes_search(Elf_Data *data, uint8_t buffer[ELF_BUILD_ID_MAX])
{
	size_t at = 0, next, name, description;
	GElf_Nhdr header;

	for (; (next = gelf_getnote(data, at, &header, &name, &description)) > at; at = next) {
		if (header.n_type != NT_GNU_BUILD_ID || header.n_namesz != sizeof("GNU") ||
		    memcmp((char *)data->d_buf + name, "GNU", sizeof("GNU")) || !header.n_descsz)
			continue;
		if (header.n_descsz > ELF_BUILD_ID_MAX)
			return -EINVAL;
		memcpy(buffer, (char *)data->d_buf + description, header.n_descsz);
		return (int)header.n_descsz;
	}
	return -ENOENT;
}

int elf_build_id(const struct elf_file *file, uint8_t buffer[ELF_BUILD_ID_MAX])
{
	Elf *elf = elf_of(file);
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		Elf_Data *data;
		int result;

		if (!gelf_getphdr(elf, (int)i, &segment))
			return -EINVAL;
		if (segment.p_type != PT_NOTE || segment.p_filesz > SECTION_SIZE_MAX)
			continue;
		data = elf_getdata_rawchunk(elf, (int64_t)segment.p_offset, segment.p_filesz,
					    segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
		result = data ? notes_search(data, buffer) : -ENOENT;
		if (result != -ENOENT)
			return result;
	}
	return -ENOENT;
}

/* Whether `at` lies in the `size` bytes from `start` on; no sum can wrap. */
static bool within(uint64_t at, uint64_t start, uint64_t size)
{
	return at >= start && at - start < size;
}

int elf_load_bias(const struct elf_file *file, const struct mapping *mapping, uint64_t *bias)
{
	Elf *elf = elf_of(file);
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return -ENOENT;
	for (size_t i = 0; i < count; i++) {
		uint64_t slack;

		if (!gelf_getphdr(elf, (int)i, &segment))
			return -ENOENT;
		if (segment.p_type != PT_LOAD || !segment.p_filesz ||
		    !!(segment.p_flags & PF_X) != mapping->executable)
			continue;
		/* The loader maps whole pages: also what lies before the segment in its page. */
		slack = segment.p_offset & PAGE_MASK_MIN;
		if (!within(mapping->offset, segment.p_offset - slack, segment.p_filesz + slack))
			continue;
		*bias = mapping->start - mapping->offset + segment.p_offset - segment.p_vaddr;
		return 0;
	}
	return -ENOENT;
}

static int segments_search(const struct elf_file *file, bool by_value, uint64_t from, uint64_t *to)
{
	Elf *elf = elf_of(file);
	GElf_Phdr segment;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return -ENOENT;
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &segment))
			return -ENOENT;
		if (segment.p_type != PT_LOAD ||
		    !within(from, by_value ? segment.p_vaddr : segment.p_offset, segment.p_filesz))
			continue;
		*to = by_value ? from - segment.p_vaddr + segment.p_offset
			       : from - segment.p_offset + segment.p_vaddr;
		return 0;
	}
	return -ENOENT;
}

int elf_offset_of(const struct elf_file *file, uint64_t value, uint64_t *offset)
{
	return segments_search(file, true, value, offset);
}

int elf_value_of(const struct elf_file *file, uint64_t offset, uint64_t *value)
{
	return segments_search(file, false, offset, value);
}

int elf_read(const struct elf_file *file, uint64_t offset, void *buffer, size_t size)
{
	char *to = buffer;

	if (offset > file->size || size > file->size - offset)
		return -EINVAL;
	while (size) {
		ssize_t count = pread(file->fd, to, size, (off_t)offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return -errno;
		if (!count)
			return -EINVAL; /* it has shrunk */
		to += count;
		offset += (uint64_t)count;
		size -= (size_t)count;
	}
	return 0;
}
