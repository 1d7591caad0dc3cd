/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds arbitrary files to the ELF reader. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mapping mapping = {.start = 0x1000, .end = 0x9000, .executable = true, .path = ""};
	uint8_t build_id[ELF_BUILD_ID_MAX];
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	char path[64], name[64];
	struct elf_symbol symbol;
	struct elf_file file;
	uint64_t number;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!elf_file_open(path, &file)) {
		elf_symbol_find(&file, "_PyRuntime", ELF_ALL_SYMBOLS, &symbol);
		elf_section_find(&file, ".PyRuntime", &number, &number, &number);
		elf_soname(&file, name, sizeof(name));
		elf_build_id(&file, build_id);
		elf_load_bias(&file, &mapping, &number);
		elf_offset_of(&file, 0x1000, &number);
		elf_value_of(&file, 0x1000, &number);
		elf_file_close(&file);
	}
	close(fd);
	return 0;
}
