/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds arbitrary files to the reader of symbols, and what is no file to the demangler as a name. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native/name.h"
#include "native/symbols.h"
#include "profile/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demangle_bytes(const uint8_t *data, size_t size)
{
	char *name = strndup((const char *)data, size), *demangled;

	if (!name)
		abort();
	demangled = symbol_demangle(name);
	if (!demangled || !utf8_valid(demangled) || strlen(demangled) > NAME_BYTES_MAX)
		abort();
	free(demangled);
	free(name);
}

static void symbols_use(struct symbols *symbols)
{
	struct symbol_place place;
	uint64_t address = 0;

	for (int i = 0; i < 512 && !symbols_find(symbols, address, &place); i++) {
		if (place.start > address || place.end <= address || !utf8_valid(place.name))
			abort();
		address = place.end;
	}
	for (address = 0; address < 0x4000; address += 0x11)
		if (!symbols_find(symbols, address, &place) &&
		    (place.start > address || place.end <= address))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *const roots[] = {"/no/such/root", NULL};
	struct symbols *symbols;
	struct elf_file file;
	char path[64];
	int fd;

	if (size < 4 || memcmp(data, "\177ELF", 4) != 0) {
		demangle_bytes(data, size);
		return 0;
	}
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!elf_file_open(path, &file)) {
		if (!symbols_read(&file, roots, &symbols)) {
			symbols_use(symbols);
			symbols_free(symbols);
		}
		elf_file_close(&file);
	}
	close(fd);
	return 0;
}
