/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes unwind tables from arbitrary files, and looks for functions and their parts in them. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native/cfi.h"
#include "native/unwind_table.h"

#define LOOKUPS 16
#define PARTS   4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void address_use(const struct elf_file *file, uint64_t address)
{
	struct cfi_function parts[PARTS];
	uint64_t start = 0, end = 0;
	int count;

	if (cfi_find_in_file(file, address, &start, &end))
		return;
	if (address < start || address >= end)
		abort();
	count = cfi_find_parts(file, start, end, parts, PARTS);
	if (count > PARTS)
		abort();
	for (int i = 0; i < count; i++)
		if (parts[i].start >= parts[i].end)
			abort();
}

static void file_use(const struct elf_file *file)
{
	const struct unwind_header *header;
	struct unwind_table table;
	const uint32_t *rows;

	address_use(file, 0x1000);
	if (unwind_table_make_file(file, &table))
		return;
	header = (const void *)table.blocks;
	rows = (const uint32_t *)table.blocks + header->rows_at;
	for (uint32_t i = 0; i < table.row_count && i < LOOKUPS; i++) {
		uint64_t address = (uint64_t)header->first_page << UNWIND_PAGE_BITS |
				   rows[i] >> UNWIND_PAGE_BITS;
		struct unwind_rule rule;

		unwind_table_find(&table, address, &rule);
		address_use(file, address);
	}
	unwind_table_free(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct elf_file file;
	char path[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!elf_file_open(path, &file)) {
		file_use(&file);
		elf_file_close(&file);
	}
	close(fd);
	return 0;
}
