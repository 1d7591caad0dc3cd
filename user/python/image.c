/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns which symbols and sections of a file tell of a CPython. */
#include "python/image.h"

#include <string.h>

#include "native/cfi.h"

bool image_is_named(const char *path)
{
	const char *name = strrchr(path, '/');

	return strstr(name ? name : path, "python");
}

static uint64_t symbol_value(const struct elf_file *elf, const char *name, enum elf_tables tables)
{
	struct elf_symbol symbol;

	return elf_symbol_find(elf, name, tables, &symbol) ? 0 : symbol.value;
}

/* _PyRuntime by its symbol, else by the section that holds it from 3.10 on. */
static uint64_t runtime_find(const struct elf_file *elf, bool named)
{
	uint64_t value = symbol_value(elf, "_PyRuntime", ELF_DYNAMIC_ONLY), size;

	if (value)
		return value;
	if (!elf_section_find(elf, ".PyRuntime", &value, NULL, &size) && size && value)
		return value;
	return named ? symbol_value(elf, "_PyRuntime", ELF_ALL_SYMBOLS) : 0;
}

static enum image_kind kind_find(const struct elf_file *elf, bool named, uint64_t *runtime)
{
	*runtime = runtime_find(elf, named);
	if (*runtime)
		return IMAGE_PYTHON;
	return named && symbol_value(elf, "Py_GetVersion", ELF_DYNAMIC_ONLY) ? IMAGE_ANCIENT
									     : IMAGE_OTHER;
}

enum image_kind image_kind_of(const struct elf_file *elf, bool named)
{
	uint64_t ignored;

	return kind_find(elf, named, &ignored);
}

/* Where the interpreter's loop lies: its body and, if the compiler moved one out, its cold part. */
static void loop_find(const struct elf_file *elf, struct python_image *image)
{
	struct cfi_function part;
	struct elf_symbol symbol;

	if (elf_symbol_find(elf, "_PyEval_EvalFrameDefault", ELF_ALL_SYMBOLS, &symbol) ||
	    !symbol.size)
		return;
	image->loop_start[0] = symbol.value;
	image->loop_end[0] = symbol.value + symbol.size;
	if (cfi_find_parts(elf, symbol.value, symbol.value + symbol.size, &part, 1) != 1)
		return;
	image->loop_start[1] = part.start;
	image->loop_end[1] = part.end;
}

void image_read(const struct elf_file *elf, const struct mapping *mapping, bool named,
		struct python_image *image)
{
	struct python_image found = {.kind = IMAGE_OTHER};
	uint64_t bias;

	*image = found;
	if (elf_load_bias(elf, mapping, &bias))
		return;
	found.shift = bias - (mapping->start - mapping->offset);
	found.kind = kind_find(elf, named, &found.runtime);
	if (found.kind == IMAGE_PYTHON) {
		found.version = symbol_value(elf, "Py_Version", ELF_ALL_SYMBOLS);
		found.code_type = symbol_value(elf, "PyCode_Type", ELF_ALL_SYMBOLS);
		found.frame_type = symbol_value(elf, "PyFrame_Type", ELF_ALL_SYMBOLS);
		if (!found.version)
			loop_find(elf, &found); /* of use up to 3.10 alone */
	}
	*image = found;
}
