/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the choice of symbols: defined functions in sections that are executed. Tables are read
 * piece by piece, not by libelf, which would keep them for as long as the file is open.
 */
#include "native/symbol_table.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOLS_AT_ONCE 2048
#define FUNCTIONS_MAX   (1U << 24)
#define SYMBOLS_MAX     (1U << 24)    /* read of all tables */
#define NAMES_SIZE_MAX  (512UL << 20) /* bytes of all tables' names */

struct section {
	uint64_t start; /* start <= virtual address < end; both 0: not executed */
	uint64_t end;
};

struct reader {
	const struct elf_file *file;
	Elf *elf;
	struct section *sections; /* by index */
	size_t section_count;
	struct symbol_table *table;
	uint32_t names; /* where the current table's names start */
	uint32_t names_size;
	uint64_t symbols; /* read so far */
};

static int sections_read(struct reader *reader)
{
	Elf_Scn *section = NULL;
	size_t count;

	if (elf_getshdrnum(reader->elf, &count))
		return -EINVAL;
	if (count > SHN_LORESERVE)
		count = SHN_LORESERVE; /* what a symbol can name */
	reader->sections = calloc(count ? count : 1, sizeof(*reader->sections));
	if (!reader->sections)
		return -ENOMEM;
	reader->section_count = count;
	while ((section = elf_nextscn(reader->elf, section))) {
		size_t index = elf_ndxscn(section);
		GElf_Shdr header;

		if (index >= count || !gelf_getshdr(section, &header) ||
		    !(header.sh_flags & SHF_EXECINSTR) ||
		    header.sh_size > UINT64_MAX - header.sh_addr)
			continue;
		reader->sections[index] = (struct section){.start = header.sh_addr,
							   .end = header.sh_addr + header.sh_size};
	}
	return 0;
}

/* Appends the string table that belongs to a symbol table. */
static int names_read(struct reader *reader, const GElf_Shdr *symbols)
{
	Elf_Scn *section = elf_getscn(reader->elf, symbols->sh_link);
	struct symbol_table *table = reader->table;
	GElf_Shdr header;
	char *grown;

	if (!section || !gelf_getshdr(section, &header) || header.sh_type != SHT_STRTAB ||
	    header.sh_flags & SHF_COMPRESSED || header.sh_size > reader->file->size ||
	    header.sh_size > NAMES_SIZE_MAX || table->names_size > NAMES_SIZE_MAX - header.sh_size)
		return -EINVAL;
	grown = realloc(table->names, table->names_size + header.sh_size + 1);
	if (!grown)
		return -ENOMEM;
	table->names = grown;
	if (elf_read(reader->file, header.sh_offset, grown + table->names_size, header.sh_size))
		return -EINVAL;
	grown[table->names_size + header.sh_size] = '\0';
	reader->names = (uint32_t)table->names_size;
	reader->names_size = (uint32_t)header.sh_size;
	table->names_size += header.sh_size + 1;
	return 0;
}

static int function_append(struct symbol_table *table, const struct function *function)
{
	if (table->count == FUNCTIONS_MAX)
		return 0;
	if (table->count == table->capacity) {
		size_t capacity = table->capacity ? table->capacity * 2 : 256;
		struct function *grown = realloc(table->all, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		table->all = grown;
		table->capacity = capacity;
	}
	table->all[table->count++] = *function;
	return 0;
}

/* Takes a symbol if it is one of a function. */
static int symbol_take(struct reader *reader, const Elf64_Sym *symbol)
{
	const unsigned char type = ELF64_ST_TYPE(symbol->st_info);
	struct section section;
	struct function function = {.start = symbol->st_value};
	uint64_t size = symbol->st_size, room;
	const char *name;

	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return 0;
	if (symbol->st_shndx >= reader->section_count || symbol->st_name >= reader->names_size)
		return 0;
	section = reader->sections[symbol->st_shndx];
	if (symbol->st_value < section.start || symbol->st_value >= section.end)
		return 0;
	name = reader->table->names + reader->names + symbol->st_name;
	/* Marks of tools, not names of code: `$x` of the ARM ABI, `.annobin…`, `.L…`. */
	if (!name[0] || (type == STT_NOTYPE && (name[0] == '.' || name[0] == '$')))
		return 0;
	room = section.end - symbol->st_value;
	if (!size || size > room)
		size = room;
	function.size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
	function.name = reader->names + symbol->st_name;
	function.flaws = (symbol->st_size ? 0U : SYMBOL_SIZELESS) |
			 (type == STT_NOTYPE ? SYMBOL_UNTYPED : 0U) |
			 (ELF64_ST_BIND(symbol->st_info) == STB_LOCAL ? SYMBOL_LOCAL : 0U);
	return function_append(reader->table, &function);
}

static int symbols_take(struct reader *reader, const GElf_Shdr *header)
{
	uint64_t count = header->sh_size / sizeof(Elf64_Sym);
	Elf64_Sym symbols[SYMBOLS_AT_ONCE];

	if (count > SYMBOLS_MAX - reader->symbols)
		return -EINVAL;
	reader->symbols += count;
	for (uint64_t at = 0; at < count; at += SYMBOLS_AT_ONCE) {
		size_t some = count - at < SYMBOLS_AT_ONCE ? (size_t)(count - at) : SYMBOLS_AT_ONCE;

		if (elf_read(reader->file, header->sh_offset + at * sizeof(Elf64_Sym), symbols,
			     some * sizeof(Elf64_Sym)))
			return -EINVAL;
		for (size_t i = 0; i < some; i++)
			if (symbol_take(reader, &symbols[i]))
				return -ENOMEM;
	}
	return 0;
}

static int tables_read(struct reader *reader)
{
	size_t good = 0, damaged = 0;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	int error;

	while ((section = elf_nextscn(reader->elf, section))) {
		if (!gelf_getshdr(section, &header) ||
		    (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM))
			continue;
		error = -EINVAL;
		if (header.sh_entsize == sizeof(Elf64_Sym) &&
		    header.sh_size <= reader->file->size && header.sh_offset <= reader->file->size)
			error = names_read(reader, &header);
		if (!error)
			error = symbols_take(reader, &header);
		if (error == -ENOMEM)
			return error;
		good += !error;
		damaged += !!error;
	}
	return damaged && !good ? -EINVAL : 0;
}

int symbol_table_add(struct symbol_table *table, const struct elf_file *file)
{
	struct reader reader = {
		.file = file, .elf = elf_begin(file->fd, ELF_C_READ, NULL), .table = table};
	int error = -EINVAL;

	if (reader.elf)
		error = sections_read(&reader);
	if (!error)
		error = tables_read(&reader);
	free(reader.sections);
	elf_end(reader.elf);
	return error;
}
