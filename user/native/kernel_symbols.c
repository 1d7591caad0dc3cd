/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns reading and searching the kernel's symbols. */
#include "native/kernel_symbols.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct kernel_symbols symbols;
	size_t symbol_room;
	size_t text_size;
	size_t text_room;
	uint32_t module;       /* text offset of module_name */
	char module_name[128]; /* of the symbol before: symbols of a module stand together */
};

static int text_add(struct reader *reader, const char *text, uint32_t *offset)
{
	size_t size = strlen(text) + 1;

	if (reader->text_size + size > reader->text_room) {
		size_t room = reader->text_room ? 2 * reader->text_room : 1 << 20;
		char *grown = realloc(reader->symbols.text, room);

		if (!grown)
			return -ENOMEM;
		reader->symbols.text = grown;
		reader->text_room = room;
	}
	memcpy(reader->symbols.text + reader->text_size, text, size);
	*offset = reader->text_size;
	reader->text_size += size;
	return 0;
}

static int symbol_add(struct reader *reader, uint64_t address, const char *name, const char *module)
{
	struct kernel_symbol symbol = {.address = address};
	int error;

	if (reader->symbols.count == reader->symbol_room) {
		size_t room = reader->symbol_room ? 2 * reader->symbol_room : 1 << 16;
		void *grown = realloc(reader->symbols.symbols, room * sizeof(symbol));

		if (!grown)
			return -ENOMEM;
		reader->symbols.symbols = grown;
		reader->symbol_room = room;
	}
	if (*module && strcmp(module, reader->module_name)) {
		snprintf(reader->module_name, sizeof(reader->module_name), "%s", module);
		error = text_add(reader, module, &reader->module);
		if (error)
			return error;
	}
	symbol.module = *module ? reader->module : 0;
	error = text_add(reader, name, &symbol.name);
	if (!error)
		reader->symbols.symbols[reader->symbols.count++] = symbol;
	return error;
}

/* A line is `address type name [module]`. Returns 1 for a function's, 0 for another. */
static int line_parse(const char *line, unsigned long long *address, char name[256],
		      char module[128])
{
	char type;

	module[0] = 0;
	if (sscanf(line, "%llx %c %255s [%127[^]]]", address, &type, name, module) < 3)
		return 0;
	return type == 't' || type == 'T' || type == 'w' || type == 'W';
}

static int symbol_compare(const void *left, const void *right)
{
	const struct kernel_symbol *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

static int symbols_read(struct reader *reader, FILE *file)
{
	char line[512], name[256], module[128];
	unsigned long long address;
	uint32_t nothing;
	int error = text_add(reader, "", &nothing);

	while (!error && fgets(line, sizeof(line), file)) {
		if (!line_parse(line, &address, name, module))
			continue;
		if (!address)
			return -EPERM;
		error = symbol_add(reader, address, name, module);
	}
	if (!error && ferror(file))
		error = -EIO;
	return error;
}

int kernel_symbols_read(const char *path, struct kernel_symbols *symbols)
{
	struct reader reader = {0};
	FILE *file = fopen(path, "re");
	int error;

	if (!file)
		return -errno;
	error = symbols_read(&reader, file);
	fclose(file);
	if (error) {
		kernel_symbols_free(&reader.symbols);
		return error;
	}
	qsort(reader.symbols.symbols, reader.symbols.count, sizeof(*reader.symbols.symbols),
	      symbol_compare);
	*symbols = reader.symbols;
	return 0;
}

void kernel_symbols_free(struct kernel_symbols *symbols)
{
	free(symbols->symbols);
	free(symbols->text);
	memset(symbols, 0, sizeof(*symbols));
}

const char *kernel_symbols_find(const struct kernel_symbols *symbols, uint64_t address,
				const char **module)
{
	size_t low = 0, high = symbols->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	*module = symbols->text + symbols->symbols[low - 1].module;
	return symbols->text + symbols->symbols[low - 1].name;
}
