/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks unwind tables: the form on sections made here, the contents on libraries of this machine
 * against what libdw says of the same addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "made_cfi.h"
#include "native/unwind_table.h"

#define PAGE 0x10000ULL

static const struct unwind_header *header_of(const struct unwind_table *table)
{
	return (const void *)table->blocks;
}

static const uint32_t *words_of(const struct unwind_table *table)
{
	return (const void *)table->blocks;
}

/* Checks what the kernel side relies on: where everything lies, and in which order. */
static void form_check(const struct unwind_table *table)
{
	const struct unwind_header *header = header_of(table);
	const uint32_t *words = words_of(table), *pages = words + 4;
	const uint32_t *rows = words + header->rows_at;
	uint32_t end = header->rows_at + table->row_count;

	assert_int_equal(header->rules_at, 4 + header->page_count + 1);
	assert_int_equal(header->rows_at, header->rules_at + 2 * table->rule_count);
	assert_int_equal(table->block_count, (end + UNWIND_BLOCK_WORDS - 1) / UNWIND_BLOCK_WORDS);
	for (uint32_t i = end; i < table->block_count * UNWIND_BLOCK_WORDS; i++)
		assert_int_equal(words[i], 0);
	assert_int_equal(pages[0], 0);
	assert_int_equal(pages[header->page_count], table->row_count);
	for (uint32_t i = 0; i < header->page_count; i++) {
		assert_true(pages[i] <= pages[i + 1]);
		for (uint32_t j = pages[i]; j < pages[i + 1]; j++) {
			assert_true((rows[j] & 0xffff) < table->rule_count);
			if (j == pages[i])
				assert_int_equal(rows[j] >> 16, 0);
			else
				assert_true(rows[j - 1] >> 16 < rows[j] >> 16);
		}
	}
}

static struct unwind_table table_make(const struct made_cfi *made)
{
	struct unwind_table table;

	assert_int_equal(unwind_table_make(made->bytes, made->size, MADE_ADDRESS, &table), 0);
	assert_int_equal(table.source_bytes, made->size);
	form_check(&table);
	return table;
}

/* The offset of the rule `CFA = rsp + offset` of an address; 0: UNWIND_UNKNOWN. */
static int offset_at(const struct unwind_table *table, uint64_t address)
{
	struct unwind_rule rule;

	unwind_table_find(table, address, &rule);
	if (rule.cfa == UNWIND_UNKNOWN)
		return 0;
	assert_int_equal(rule.cfa, UNWIND_SP);
	return rule.offset;
}

/* A function in which CFA = rsp + offset all over. */
static void add(struct made_cfi *made, uint64_t start, uint32_t length, uint8_t offset)
{
	if (!made->size)
		made_usual_common(made);
	made_function(made, start, length, MADE(DW_CFA_def_cfa_offset, offset));
}

static void test_rows(void **state)
{
	struct made_cfi made = {.size = 0};
	struct unwind_table table;

	made_usual_common(&made);
	made_function(&made, 0x1000, 0x20,
		      MADE(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16,
			   DW_CFA_advance_loc | 1, DW_CFA_offset | 3, 2, DW_CFA_advance_loc1, 0x1d,
			   DW_CFA_def_cfa_offset, 8));
	add(&made, 0x1020, 0x20, 8);
	table = table_make(&made);
	/* unknown at 0, 8, 16, 8 in two functions, unknown */
	assert_int_equal(table.row_count, 5);
	assert_int_equal(table.rule_count, 3);
	assert_int_equal(table.damaged, 0);
	assert_int_equal(header_of(&table)->first_page, 0);
	assert_int_equal(header_of(&table)->page_count, 1);
	assert_int_equal(offset_at(&table, 0), 0);
	assert_int_equal(offset_at(&table, 0xfff), 0);
	assert_int_equal(offset_at(&table, 0x1000), 8);
	assert_int_equal(offset_at(&table, 0x1001), 16);
	assert_int_equal(offset_at(&table, 0x101e), 16);
	assert_int_equal(offset_at(&table, 0x101f), 8);
	assert_int_equal(offset_at(&table, 0x103f), 8);
	assert_int_equal(offset_at(&table, 0x1040), 0);
	assert_int_equal(offset_at(&table, PAGE), 0);
	assert_int_equal(offset_at(&table, UINT64_MAX), 0);
	unwind_table_free(&table);
	assert_null(table.blocks);
}

static void test_gaps(void **state)
{
	struct made_cfi made = {.size = 0};
	struct unwind_table table;

	add(&made, 0x1000, 0x11, 8);
	add(&made, 0x1020, 0x10, 16); /* 15 bytes of padding before it */
	add(&made, 0x1040, 0x10, 24); /* 16 bytes that are not known */
	table = table_make(&made);
	assert_int_equal(offset_at(&table, 0x1011), 8);
	assert_int_equal(offset_at(&table, 0x101f), 8);
	assert_int_equal(offset_at(&table, 0x1020), 16);
	assert_int_equal(offset_at(&table, 0x102f), 16);
	assert_int_equal(offset_at(&table, 0x1030), 0);
	assert_int_equal(offset_at(&table, 0x103f), 0);
	assert_int_equal(offset_at(&table, 0x1040), 24);
	assert_int_equal(offset_at(&table, 0x1050), 0);
	unwind_table_free(&table);
}

/* Functions over the bounds of pages, pages within one function and pages without any. */
static void test_pages(void **state)
{
	struct made_cfi made = {.size = 0};
	struct unwind_table table;

	add(&made, 3 * PAGE + 0x8000, 3 * PAGE, 16); /* to the middle of page 6 */
	add(&made, 9 * PAGE, PAGE, 24);              /* the whole of page 9 */
	add(&made, 12 * PAGE - 4, 4, 32);            /* to the end of page 11 */
	add(&made, 13 * PAGE, 4, 40);
	table = table_make(&made);
	assert_int_equal(header_of(&table)->first_page, 3);
	assert_int_equal(header_of(&table)->page_count, 11);
	/* page 3: 2 rows, 4 and 5: 1, 6: 2, 9: 1, 11: 2, 13: 2 */
	assert_int_equal(table.row_count, 11);
	assert_int_equal(offset_at(&table, 2 * PAGE + 0x9000), 0);
	assert_int_equal(offset_at(&table, 3 * PAGE + 0x7fff), 0);
	assert_int_equal(offset_at(&table, 3 * PAGE + 0x8000), 16);
	assert_int_equal(offset_at(&table, 4 * PAGE), 16);
	assert_int_equal(offset_at(&table, 5 * PAGE + 0xffff), 16);
	assert_int_equal(offset_at(&table, 6 * PAGE + 0x7fff), 16);
	assert_int_equal(offset_at(&table, 6 * PAGE + 0x8000), 0);
	assert_int_equal(offset_at(&table, 7 * PAGE + 1), 0);
	assert_int_equal(offset_at(&table, 9 * PAGE), 24);
	assert_int_equal(offset_at(&table, 9 * PAGE + 0xffff), 24);
	assert_int_equal(offset_at(&table, 10 * PAGE), 0);
	assert_int_equal(offset_at(&table, 11 * PAGE), 0);
	assert_int_equal(offset_at(&table, 12 * PAGE - 1), 32);
	assert_int_equal(offset_at(&table, 12 * PAGE), 0);
	assert_int_equal(offset_at(&table, 13 * PAGE + 3), 40);
	assert_int_equal(offset_at(&table, 13 * PAGE + 4), 0);
	assert_int_equal(offset_at(&table, 3 * PAGE + 0x8000 + (PAGE << 32)), 0);
	unwind_table_free(&table);
}

static void test_overlaps(void **state)
{
	struct made_cfi made = {.size = 0};
	struct unwind_table table;

	add(&made, 0x2000, 0x10, 40); /* of two with one start, the last */
	made_function(&made, 0x1000, 0x100,
		      MADE(DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc1, 0x50,
			   DW_CFA_def_cfa_offset, 32));
	add(&made, 0x1040, 0x20, 24); /* in the middle: behind it nothing is known */
	add(&made, 0x2000, 0x20, 48);
	table = table_make(&made);
	assert_int_equal(offset_at(&table, 0x103f), 16);
	assert_int_equal(offset_at(&table, 0x1040), 24);
	assert_int_equal(offset_at(&table, 0x105f), 24);
	assert_int_equal(offset_at(&table, 0x1060), 0);
	assert_int_equal(offset_at(&table, 0x10ff), 0);
	assert_int_equal(offset_at(&table, 0x2000), 48);
	assert_int_equal(offset_at(&table, 0x201f), 48);
	assert_int_equal(table.damaged, 0);
	unwind_table_free(&table);
}

/* Of a damaged function nothing is left, whatever of it could be read, and of the others all. */
static void test_damaged(void **state)
{
	struct made_cfi made = {.size = 0};
	struct unwind_table table;

	add(&made, 0x1000, 0x10, 16);
	made_function(&made, 0x1010, 3 * PAGE,
		      MADE(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 24, DW_CFA_advance_loc4,
			   0, 0, 1, 0, 0x3f));
	add(&made, 5 * PAGE, 0x10, 32);
	table = table_make(&made);
	assert_int_equal(table.damaged, 1);
	assert_int_equal(table.row_count, 5);
	assert_int_equal(offset_at(&table, 0x100f), 16);
	assert_int_equal(offset_at(&table, 0x1010), 0);
	assert_int_equal(offset_at(&table, 0x1012), 0);
	assert_int_equal(offset_at(&table, 2 * PAGE), 0);
	assert_int_equal(offset_at(&table, 5 * PAGE), 32);
	unwind_table_free(&table);
}

static void test_nothing(void **state)
{
	struct made_cfi made = {.size = 0};
	struct unwind_table table;

	table = table_make(&made);
	assert_int_equal(table.row_count, 0);
	assert_int_equal(offset_at(&table, 0), 0);
	unwind_table_free(&table);
	made_number(&made, 8, 4); /* longer than what there is */
	table = table_make(&made);
	assert_int_equal(table.row_count, 0);
	assert_int_equal(table.damaged, 1);
	unwind_table_free(&table);
	unwind_table_free(&table);
	assert_int_equal(offset_at(&table, 0), 0);
}

/* Addresses that are far from each other, or of no process, must not cost memory. */
static void test_spans(void **state)
{
	struct made_cfi made = {.size = 0};
	struct unwind_table table;
	size_t size;

	add(&made, 0x1000, 1024 * PAGE - 0x1000, 8);
	table = table_make(&made);
	assert_int_equal(header_of(&table)->page_count, 1024);
	assert_int_equal(table.row_count, 1025);
	unwind_table_free(&table);
	size = made.size;
	/* A page more for each 16 bytes of the section. */
	made.size = 0;
	add(&made, PAGE, (uint32_t)((1024 + size / 16) * PAGE), 8);
	assert_int_equal(made.size, size);
	table = table_make(&made);
	assert_int_equal(header_of(&table)->page_count, 1024 + size / 16);
	unwind_table_free(&table);
	made.size = 0;
	add(&made, PAGE, (uint32_t)((1024 + size / 16) * PAGE + 1), 8);
	assert_int_equal(unwind_table_make(made.bytes, made.size, MADE_ADDRESS, &table), -E2BIG);
	add(&made, 0x70000000, 0x10, 8);
	table.row_count = 7;
	assert_int_equal(unwind_table_make(made.bytes, made.size, MADE_ADDRESS, &table), -E2BIG);
	assert_int_equal(table.row_count, 7);
	assert_null(table.blocks);
	/* Addresses are relative to the section's, which lies too high here. */
	made.size = 0;
	add(&made, 0x1000, 0x10, 8);
	assert_int_equal(unwind_table_make(made.bytes, made.size, UINT64_C(1) << 50, &table),
			 -E2BIG);
	assert_int_equal(unwind_table_make(made.bytes, made.size, UINT64_MAX - 0x1000, &table),
			 -E2BIG);
}

/* As many rules as there can be, and one more. */
static void test_rules_limit(void **state)
{
	static uint8_t code[5 * UNWIND_RULES_MAX];
	static struct made_cfi made;
	struct unwind_table table;

	for (uint32_t i = 0; i < UNWIND_RULES_MAX; i++) {
		const uint8_t change[] = {DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset,
					  (i & 0x7f) | 0x80, (i >> 7 & 0x7f) | 0x80,
					  (uint8_t)(i >> 14)};

		memcpy(code + sizeof(change) * i, change, sizeof(change));
	}
	/* Offsets from 0 on, with 8, by which the function begins; and what is not known. */
	made_usual_common(&made);
	made_function(&made, 0x1000, UNWIND_RULES_MAX, code, 5 * (UNWIND_RULES_MAX - 1));
	table = table_make(&made);
	assert_int_equal(table.rule_count, UNWIND_RULES_MAX);
	assert_int_equal(offset_at(&table, 0x1000 + UNWIND_RULES_MAX - 1), UNWIND_RULES_MAX - 2);
	unwind_table_free(&table);
	made.size = 0;
	made_usual_common(&made);
	made_function(&made, 0x1000, UNWIND_RULES_MAX + 1, code, sizeof(code));
	assert_int_equal(unwind_table_make(made.bytes, made.size, MADE_ADDRESS, &table), -E2BIG);
}

/* A register and an offset. */
static bool is_register(const Dwarf_Op *operation, size_t count, int *number, int64_t *offset)
{
	if (count != 1)
		return false;
	*number = operation->atom == DW_OP_bregx ? (int)operation->number
						 : operation->atom - DW_OP_breg0;
	*offset =
		(int64_t)(operation->atom == DW_OP_bregx ? operation->number2 : operation->number);
	return operation->atom == DW_OP_bregx ||
	       (operation->atom >= DW_OP_breg0 && operation->atom <= DW_OP_breg31);
}

static void cfa_convert(const Dwarf_Op *operations, size_t count, struct unwind_rule *rule)
{
	bool loads = count > 1 && operations[1].atom == DW_OP_deref;
	int64_t offset;
	int number;

	if (is_register(operations, loads ? 1 : count, &number, &offset)) {
		rule->cfa = number == 7 ? UNWIND_SP : number == 6 ? UNWIND_FP : UNWIND_REGISTER;
		if (!loads && rule->cfa != UNWIND_REGISTER) {
			rule->offset = (int32_t)offset;
			return;
		}
		rule->short_offset = (int16_t)offset;
		rule->addend = (int16_t)number;
		if (!loads)
			return;
		rule->cfa = number == 7 ? UNWIND_SP_LOADED : UNWIND_FP_LOADED;
		rule->addend = count == 3   ? (int16_t)operations[2].number
			       : count == 4 ? (int16_t)(operations[2].atom - DW_OP_lit0)
					    : 0;
		return;
	}
	if (count == 9 && operations[5].atom == DW_OP_ge) {
		rule->cfa = UNWIND_PLT;
		rule->offset = operations[4].atom - DW_OP_lit0;
	}
}

/* libdw's words for: it is at CFA + offset. */
static bool is_at_cfa(const Dwarf_Op *operations, size_t count, int64_t *offset)
{
	*offset = count == 2 ? (int64_t)operations[1].number : 0;
	return (count == 1 || (count == 2 && operations[1].atom == DW_OP_plus_uconst)) &&
	       operations[0].atom == DW_OP_call_frame_cfa;
}

static void frame_pointer_convert(Dwarf_Frame *frame, struct unwind_rule *rule)
{
	Dwarf_Op memory[3], *operations;
	int64_t offset;
	size_t count;
	int number;

	assert_int_equal(dwarf_frame_register(frame, 6, memory, &operations, &count), 0);
	if (!count) {
		rule->frame_pointer = operations ? FRAME_POINTER_LOST : FRAME_POINTER_SAME;
	} else if (is_at_cfa(operations, count, &offset)) {
		rule->frame_pointer = FRAME_POINTER_CFA;
		rule->frame_pointer_at = (int16_t)(offset / 8);
	} else if (is_register(operations + 1, count - 1, &number, &offset) && number == 6) {
		rule->frame_pointer = FRAME_POINTER_FP; /* an expression that ignores the CFA */
		rule->frame_pointer_at = (int16_t)(offset / 8);
	} else {
		rule->frame_pointer = FRAME_POINTER_LOST;
	}
}

/* The return address is in a register, as in vfork(). */
static void return_register_convert(int number, struct unwind_rule *rule)
{
	int32_t offset = rule->offset;

	if (rule->cfa != UNWIND_SP) {
		*rule = (struct unwind_rule){.cfa = UNWIND_UNKNOWN};
		return;
	}
	rule->cfa = UNWIND_SP_RETURN;
	rule->short_offset = (int16_t)offset;
	rule->addend = (int16_t)number;
}

/* The rule that libdw's words stand for. */
static struct unwind_rule rule_convert(Dwarf_Frame *frame)
{
	struct unwind_rule rule = {.cfa = UNWIND_UNKNOWN};
	Dwarf_Op memory[3], *operations;
	int return_register = -1;
	bool signal = false;
	int64_t offset;
	size_t count;

	assert_true(dwarf_frame_info(frame, NULL, NULL, &signal) >= 0);
	assert_int_equal(dwarf_frame_register(frame, 16, memory, &operations, &count), 0);
	if (signal)
		return (struct unwind_rule){.cfa = UNWIND_SIGNAL};
	if (!count && operations)
		return (struct unwind_rule){.cfa = UNWIND_END};
	if (count == 1 && operations[0].atom == DW_OP_regx)
		return_register = (int)operations[0].number;
	else if (!is_at_cfa(operations, count, &offset) || offset != -8)
		return rule;
	assert_int_equal(dwarf_frame_cfa(frame, &operations, &count), 0);
	cfa_convert(operations, count, &rule);
	if (return_register >= 0)
		return_register_convert(return_register, &rule);
	if (rule.cfa != UNWIND_UNKNOWN)
		frame_pointer_convert(frame, &rule);
	return rule;
}

struct comparison {
	const struct unwind_table *table;
	Dwarf_CFI *cfi;
	uint32_t known;
	uint32_t unknown; /* where libdw knows something */
};

/* Returns false where libdw has no information. */
static bool address_compare(struct comparison *comparison, uint64_t address)
{
	struct unwind_rule found, expected;
	Dwarf_Frame *frame;

	unwind_table_find(comparison->table, address, &found);
	if (dwarf_cfi_addrframe(comparison->cfi, address, &frame))
		return false;
	expected = rule_convert(frame);
	free(frame);
	assert_memory_equal(&found, &expected, sizeof(found));
	if (found.cfa == UNWIND_UNKNOWN)
		comparison->unknown++;
	else
		comparison->known++;
	return true;
}

/* Compares each row, and the last byte before it. */
static void rows_compare(struct comparison *comparison)
{
	const struct unwind_header *header = header_of(comparison->table);
	const uint32_t *pages = words_of(comparison->table) + 4;
	const uint32_t *rows = words_of(comparison->table) + header->rows_at;
	struct unwind_rule rule;

	for (uint32_t i = 0; i < header->page_count; i++)
		for (uint32_t j = pages[i]; j < pages[i + 1]; j++) {
			uint64_t address = (header->first_page + i) * PAGE + (rows[j] >> 16);

			unwind_table_find(comparison->table, address, &rule);
			if (!address_compare(comparison, address))
				assert_int_equal(rule.cfa, UNWIND_UNKNOWN);
			address_compare(comparison, address - 1);
		}
}

/* Most of a file's code has rules, and they are libdw's. */
static void file_compare(const char *path)
{
	struct comparison comparison = {.known = 0};
	struct unwind_table table;
	struct elf_file file;
	Elf *elf;

	assert_int_equal(elf_file_open(path, &file), 0);
	assert_int_equal(unwind_table_make_file(&file, &table), 0);
	form_check(&table);
	assert_int_equal(table.damaged, 0);
	assert_true(table.row_count > 1000);
	assert_true((uint64_t)table.block_count * sizeof(*table.blocks) * 5 <
		    table.source_bytes * 6);
	elf = elf_begin(file.fd, ELF_C_READ, NULL);
	comparison.table = &table;
	comparison.cfi = dwarf_getcfi_elf(elf);
	assert_non_null(comparison.cfi);
	rows_compare(&comparison);
	assert_true(comparison.known > table.row_count / 2);
	assert_true(comparison.unknown < comparison.known / 100);
	dwarf_cfi_end(comparison.cfi);
	elf_end(elf);
	unwind_table_free(&table);
	elf_file_close(&file);
}

static void test_c_library(void **state)
{
	Dl_info info;

	assert_true(dladdr(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &info));
	file_compare(info.dli_fname);
}

static void test_interpreter(void **state)
{
	if (access("/usr/bin/python3", R_OK))
		skip();
	file_compare("/usr/bin/python3");
}

/* It has much assembler. */
static void test_crypto_library(void **state)
{
	void *library = dlopen("libcrypto.so.3", RTLD_LAZY | RTLD_LOCAL);
	struct link_map *map;

	if (!library)
		skip();
	assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
	file_compare(map->l_name);
	dlclose(library);
}

/* The C library returns from signals through a function that says where the kernel put things. */
static void test_signal_frame(void **state)
{
	uint32_t signals = 0, ends = 0;
	const struct unwind_rule *rules;
	struct unwind_table table;
	struct elf_file file;
	Dl_info info;

	assert_true(dladdr(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &info));
	assert_int_equal(elf_file_open(info.dli_fname, &file), 0);
	assert_int_equal(unwind_table_make_file(&file, &table), 0);
	rules = (const void *)(words_of(&table) + header_of(&table)->rules_at);
	for (uint32_t i = 0; i < table.rule_count; i++) {
		signals += rules[i].cfa == UNWIND_SIGNAL;
		ends += rules[i].cfa == UNWIND_END;
	}
	assert_int_equal(signals, 1);
	assert_int_equal(ends, 1);
	unwind_table_free(&table);
	elf_file_close(&file);
}

/* Puts bytes into a file without a name. */
static int file_put(const void *bytes, size_t size, char *path, size_t path_size)
{
	int fd = memfd_create("put", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, 0), size);
	snprintf(path, path_size, "/proc/self/fd/%d", fd);
	return fd;
}

/* What the kernel maps into each process is an ELF file, although it has no name. */
static void test_vdso(void **state)
{
	const uint8_t *image = (const void *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *header = (const void *)image;
	struct unwind_rule rule;
	struct unwind_table table;
	struct elf_symbol symbol;
	struct elf_file file;
	char path[64];
	int fd;

	if (!image)
		skip();
	fd = file_put(image, header->e_shoff + (size_t)header->e_shnum * header->e_shentsize, path,
		      sizeof(path));
	assert_int_equal(elf_file_open(path, &file), 0);
	assert_int_equal(unwind_table_make_file(&file, &table), 0);
	form_check(&table);
	assert_int_equal(elf_symbol_find(&file, "__vdso_clock_gettime", ELF_DYNAMIC_ONLY, &symbol),
			 0);
	unwind_table_find(&table, symbol.value, &rule);
	assert_int_equal(rule.cfa, UNWIND_SP);
	assert_int_equal(rule.offset, 8);
	unwind_table_find(&table, symbol.value + symbol.size / 2, &rule);
	assert_int_not_equal(rule.cfa, UNWIND_UNKNOWN);
	unwind_table_free(&table);
	elf_file_close(&file);
	close(fd);
}

/* This program, read into memory; *size bytes. */
static uint8_t *program_read(size_t *size)
{
	struct elf_file file;
	uint8_t *bytes;

	assert_int_equal(elf_file_open("/proc/self/exe", &file), 0);
	bytes = malloc(file.size);
	assert_non_null(bytes);
	assert_int_equal(elf_read(&file, 0, bytes, file.size), 0);
	*size = file.size;
	elf_file_close(&file);
	return bytes;
}

static int file_make(const void *bytes, size_t size, struct unwind_table *table)
{
	struct elf_file file;
	char path[64];
	int fd = file_put(bytes, size, path, sizeof(path));
	int error = elf_file_open(path, &file);

	if (!error) {
		error = unwind_table_make_file(&file, table);
		elf_file_close(&file);
	}
	close(fd);
	return error;
}

/* Without section headers .eh_frame is found by the segment of its index; without both not at all. */
static void test_no_sections(void **state)
{
	struct unwind_table whole, stripped;
	size_t size, segments;
	uint8_t *bytes = program_read(&size);
	Elf64_Ehdr *header = (void *)bytes;
	Elf64_Phdr *segment = (void *)(bytes + header->e_phoff);

	assert_int_equal(file_make(bytes, size, &whole), 0);
	header->e_shoff = header->e_shnum = header->e_shstrndx = 0;
	assert_int_equal(file_make(bytes, size, &stripped), 0);
	assert_int_equal(whole.block_count, stripped.block_count);
	assert_memory_equal(whole.blocks, stripped.blocks,
			    whole.block_count * sizeof(*whole.blocks));
	unwind_table_free(&whole);
	unwind_table_free(&stripped);
	for (segments = header->e_phnum; segments; segments--, segment++)
		if (segment->p_type == PT_GNU_EH_FRAME)
			segment->p_type = PT_NULL;
	assert_int_equal(file_make(bytes, size, &stripped), -ENOENT);
	header->e_phoff = UINT64_MAX - 8;
	assert_int_equal(file_make(bytes, size, &stripped), -EINVAL);
	free(bytes);
}

/* Cut off at many places: an error or a table, and no crash. */
static void test_truncated(void **state)
{
	size_t size;
	uint8_t *bytes = program_read(&size);

	for (size_t cut = 64; cut < size; cut = cut * 9 / 8 + 1) {
		struct unwind_table table;
		int error = file_make(bytes, cut, &table);

		assert_true(error <= 0);
		if (error)
			continue;
		form_check(&table);
		unwind_table_free(&table);
	}
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),           cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_pages),          cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_damaged),        cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_spans),          cmocka_unit_test(test_rules_limit),
		cmocka_unit_test(test_c_library),      cmocka_unit_test(test_interpreter),
		cmocka_unit_test(test_crypto_library), cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_vdso),           cmocka_unit_test(test_no_sections),
		cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
