/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the ELF reader on this very program and a library it uses, whose true addresses are known,
 * and on damaged copies of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/elf.h"

static struct process self;
static struct maps maps;

static int setup(void **state)
{
	return process_open(getpid(), &self, NULL) || maps_read(&self, &maps);
}

static int teardown(void **state)
{
	maps_free(&maps);
	process_close(&self);
	return 0;
}

static void test_program(void **state)
{
	uint64_t address = (uint64_t)(uintptr_t)elf_soname, bias, offset, value;
	const struct mapping *mapping = maps_find(&maps, address);
	struct elf_symbol symbol;
	struct elf_file file;
	uint8_t code[32];

	assert_int_equal(elf_file_open_mapping(&self, mapping, &file), 0);
	assert_int_equal(elf_symbol_find(&file, "elf_soname", ELF_ALL_SYMBOLS, &symbol), 0);
	assert_int_equal(symbol.type, STT_FUNC);
	assert_int_equal(elf_load_bias(&file, mapping, &bias), 0);
	assert_int_equal(symbol.value + bias, address);
	assert_int_equal(elf_offset_of(&file, symbol.value, &offset), 0);
	assert_int_equal(offset, address - mapping->start + mapping->offset);
	assert_int_equal(elf_value_of(&file, offset, &value), 0);
	assert_int_equal(value, symbol.value);
	assert_int_equal(elf_read(&file, offset, code, sizeof(code)), 0);
	assert_memory_equal(code, (void *)(uintptr_t)address, sizeof(code));
	assert_int_equal(elf_read(&file, file.size - 1, code, 2), -EINVAL);
	assert_int_equal(elf_read(&file, UINT64_MAX, code, 2), -EINVAL);
	assert_int_equal(elf_symbol_find(&file, "no_such_symbol", ELF_ALL_SYMBOLS, &symbol),
			 -ENOENT);
	assert_int_equal(elf_offset_of(&file, UINT64_MAX, &offset), -ENOENT);
	elf_file_close(&file);
	assert_null(file.path);
}

static void test_library(void **state)
{
	uint64_t address = (uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, "gelf_getsym"), bias;
	const struct mapping *mapping = maps_find(&maps, address);
	uint8_t build_id[ELF_BUILD_ID_MAX];
	uint64_t value, offset, size;
	struct elf_symbol symbol;
	struct elf_file file;
	char name[64];

	assert_int_equal(elf_file_open_mapping(&self, mapping, &file), 0);
	assert_int_equal(elf_symbol_find(&file, "gelf_getsym", ELF_DYNAMIC_ONLY, &symbol), 0);
	assert_int_equal(elf_load_bias(&file, mapping, &bias), 0);
	assert_int_equal(symbol.value + bias, address);
	/* Needed, not defined: it must not be found here. */
	assert_int_equal(elf_symbol_find(&file, "malloc", ELF_DYNAMIC_ONLY, &symbol), -ENOENT);
	assert_int_equal(elf_soname(&file, name, sizeof(name)), 0);
	assert_string_equal(name, "libelf.so.1");
	assert_int_equal(elf_soname(&file, name, strlen("libelf.so.1")), -ENOSPC);
	assert_int_equal(elf_build_id(&file, build_id), 20);
	assert_int_equal(elf_section_find(&file, ".text", &value, &offset, &size), 0);
	assert_true(value && offset && size);
	assert_int_equal(elf_section_find(&file, ".no_such", &value, NULL, NULL), -ENOENT);
	elf_file_close(&file);
}

/* Copies the first `size` bytes of this program to a file that has no name any more. */
static int copy_make(char *path, size_t path_size, size_t size)
{
	char *buffer = malloc(size ? size : 1);
	int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("copy", MFD_CLOEXEC);

	assert_non_null(buffer);
	assert_true(from >= 0 && to >= 0);
	assert_int_equal(pread(from, buffer, size, 0), size);
	assert_int_equal(pwrite(to, buffer, size, 0), size);
	close(from);
	free(buffer);
	snprintf(path, path_size, "/proc/self/fd/%d", to);
	return to;
}

/* Calls everything: nothing may crash, whatever the file holds. */
static void use(const char *path)
{
	struct mapping mapping = {.start = 0x1000, .end = 0x9000, .executable = true, .path = ""};
	uint8_t build_id[ELF_BUILD_ID_MAX], bytes[16];
	struct elf_symbol symbol;
	struct elf_file file;
	uint64_t number;
	char name[64];
	int error = elf_file_open(path, &file);

	if (error) {
		assert_true(error < 0);
		return;
	}
	elf_symbol_find(&file, "elf_soname", ELF_ALL_SYMBOLS, &symbol);
	elf_section_find(&file, ".PyRuntime", &number, &number, &number);
	elf_soname(&file, name, sizeof(name));
	elf_build_id(&file, build_id);
	elf_load_bias(&file, &mapping, &number);
	elf_offset_of(&file, 0x1234, &number);
	elf_value_of(&file, 0x1234, &number);
	elf_read(&file, 0, bytes, sizeof(bytes));
	elf_file_close(&file);
}

static void test_truncated(void **state)
{
	struct stat status;
	char path[64];

	assert_int_equal(stat("/proc/self/exe", &status), 0);
	for (size_t size = 0; size < (size_t)status.st_size; size = size * 5 / 4 + 1) {
		int fd = copy_make(path, sizeof(path), size);

		use(path);
		close(fd);
	}
}

/* Every byte of the headers, and of the section table, set to extremes in turn. */
static void test_damaged(void **state)
{
	struct stat status;
	Elf64_Ehdr header;
	char path[64];
	int fd;

	assert_int_equal(stat("/proc/self/exe", &status), 0);
	fd = copy_make(path, sizeof(path), (size_t)status.st_size);
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	for (size_t i = 0; i < 2048; i++) {
		off_t at = (off_t)(i < 1024 ? i : header.e_shoff + (i - 1024));
		uint8_t byte, changed;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		changed = byte == 0xff ? 0x7f : 0xff;
		assert_int_equal(pwrite(fd, &changed, 1, at), 1);
		use(path);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
}

static void test_foreign(void **state)
{
	struct elf_file file;
	char path[64];
	int fd = copy_make(path, sizeof(path), 4096);

	assert_int_equal(elf_file_open("/etc/passwd", &file), -ENOEXEC);
	assert_int_equal(elf_file_open("/", &file), -ENOEXEC);
	assert_int_equal(elf_file_open("/dev/null", &file), -ENOEXEC);
	assert_int_equal(elf_file_open("/no/such/file", &file), -ENOENT);
	assert_int_equal(pwrite(fd, "\1", 1, EI_CLASS), 1); /* ELFCLASS32 */
	assert_int_equal(elf_file_open(path, &file), -ENOEXEC);
	close(fd);
}

/* A file that is mapped and then replaced: it is the old one that is opened, or none. */
static void test_replaced(void **state)
{
	char path[] = "/tmp/test_elf_XXXXXX", copy[64];
	int fd = mkstemp(path), from = copy_make(copy, sizeof(copy), 65536);
	const struct mapping *mapping;
	struct maps changed;
	struct elf_file file;
	char bytes[65536];
	void *at;
	int result;

	assert_int_equal(pread(from, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(at, MAP_FAILED);
	close(fd);
	unlink(path);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_int_equal(pwrite(fd, "other", 5, 0), 5);
	assert_int_equal(maps_read(&self, &changed), 0);
	mapping = maps_find(&changed, (uint64_t)(uintptr_t)at);
	assert_true(mapping->deleted);
	assert_string_equal(mapping->path, path);
	result = elf_file_open_mapping(&self, mapping, &file);
	if (!result) { /* with the right to use map_files */
		assert_int_equal(file.size, sizeof(bytes));
		elf_file_close(&file);
	} else {
		assert_true(result == -ENOEXEC || result == -ESTALE);
	}
	unlink(path);
	munmap(at, 4096);
	maps_free(&changed);
	close(from);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program),   cmocka_unit_test(test_library),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_foreign),   cmocka_unit_test(test_replaced),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
