/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks the names of functions on this very program, on files made here, whose tables hold what
 * real ones seldom do, and on damaged ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "native/symbols.h"
#include "profile/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const no_roots[] = {NULL};

/* Files made here: these sections, and further ones with contents that a test gives. */
enum section {
	NONE,
	TEXT,
	MORE_TEXT,
	DATA,
	SYMTAB,
	STRTAB,
	SHSTRTAB,
	BUILD_ID,
	DEBUG_LINK,
	DEBUG_DATA,
	SECTIONS
};

#define TEXT_START      0x1000
#define TEXT_SIZE       0x1000
#define MORE_TEXT_START 0x2000
#define MORE_TEXT_SIZE  0x100
#define DATA_START      0x3000
#define DATA_SIZE       0x1000

struct made_symbol {
	const char *name;
	uint64_t value;
	uint64_t size;
	unsigned char type;
	unsigned char bind;
	uint16_t section;
};

struct made_file {
	const struct made_symbol *symbols;
	size_t symbol_count;
	const char *build_id; /* NULL: none */
	const void *link;
	size_t link_size;
	const void *packed;
	size_t packed_size;
};

struct made_bytes {
	uint8_t bytes[65536];
	size_t size;
	Elf64_Shdr sections[SECTIONS];
	char section_names[256];
	size_t names_size;
};

static void section_make(struct made_bytes *made, enum section index, const char *name,
			 Elf64_Word type, const void *contents, size_t size)
{
	Elf64_Shdr *section = &made->sections[index];

	section->sh_name = (Elf64_Word)made->names_size;
	section->sh_type = type;
	section->sh_offset = made->size;
	section->sh_size = size;
	section->sh_addralign = 1;
	strcpy(made->section_names + made->names_size, name);
	made->names_size += strlen(name) + 1;
	assert_true(made->size + size + 8 < sizeof(made->bytes));
	if (size && type != SHT_NOBITS)
		memcpy(made->bytes + made->size, contents, size);
	if (type != SHT_NOBITS)
		made->size = (made->size + size + 7) & ~(size_t)7;
}

static void place_make(struct made_bytes *made, enum section index, uint64_t flags, uint64_t start,
		       uint64_t size)
{
	made->sections[index].sh_flags = flags;
	made->sections[index].sh_addr = start;
	made->sections[index].sh_size = size;
}

static void symbols_make(struct made_bytes *made, const struct made_file *file)
{
	Elf64_Sym table[128] = {{0}};
	char names[16384] = "";
	size_t names_size = 1;

	assert_true(file->symbol_count < COUNT(table));
	for (size_t i = 0; i < file->symbol_count; i++) {
		const struct made_symbol *symbol = &file->symbols[i];

		table[i + 1] = (Elf64_Sym){.st_name = (Elf64_Word)names_size,
					   .st_info = ELF64_ST_INFO(symbol->bind, symbol->type),
					   .st_shndx = symbol->section,
					   .st_value = symbol->value,
					   .st_size = symbol->size};
		assert_true(names_size + strlen(symbol->name) < sizeof(names));
		strcpy(names + names_size, symbol->name);
		names_size += strlen(symbol->name) + 1;
	}
	section_make(made, SYMTAB, ".symtab", SHT_SYMTAB, table,
		     (file->symbol_count + 1) * sizeof(*table));
	made->sections[SYMTAB].sh_link = STRTAB;
	made->sections[SYMTAB].sh_entsize = sizeof(*table);
	section_make(made, STRTAB, ".strtab", SHT_STRTAB, names, names_size);
}

static void build_id_make(struct made_bytes *made, const char *id)
{
	Elf64_Nhdr header = {.n_namesz = 4, .n_descsz = 8, .n_type = NT_GNU_BUILD_ID};
	char note[sizeof(header) + 12];

	memcpy(note, &header, sizeof(header));
	memcpy(note + sizeof(header), "GNU", 4);
	memcpy(note + sizeof(header) + 4, id, 8);
	section_make(made, BUILD_ID, ".note.gnu.build-id", SHT_NOTE, note, sizeof(note));
}

static void file_make(const struct made_file *file, struct made_bytes *made)
{
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			     .e_type = ET_DYN,
			     .e_machine = EM_X86_64,
			     .e_version = EV_CURRENT,
			     .e_ehsize = sizeof(Elf64_Ehdr),
			     .e_shentsize = sizeof(Elf64_Shdr),
			     .e_shnum = SECTIONS,
			     .e_shstrndx = SHSTRTAB};

	memset(made, 0, sizeof(*made));
	made->size = sizeof(header);
	made->names_size = 1;
	section_make(made, TEXT, ".text", SHT_NOBITS, NULL, 0);
	place_make(made, TEXT, SHF_ALLOC | SHF_EXECINSTR, TEXT_START, TEXT_SIZE);
	section_make(made, MORE_TEXT, ".fini", SHT_NOBITS, NULL, 0);
	place_make(made, MORE_TEXT, SHF_ALLOC | SHF_EXECINSTR, MORE_TEXT_START, MORE_TEXT_SIZE);
	section_make(made, DATA, ".data", SHT_NOBITS, NULL, 0);
	place_make(made, DATA, SHF_ALLOC | SHF_WRITE, DATA_START, DATA_SIZE);
	symbols_make(made, file);
	if (file->build_id)
		build_id_make(made, file->build_id);
	if (file->link)
		section_make(made, DEBUG_LINK, ".gnu_debuglink", SHT_PROGBITS, file->link,
			     file->link_size);
	if (file->packed)
		section_make(made, DEBUG_DATA, ".gnu_debugdata", SHT_PROGBITS, file->packed,
			     file->packed_size);
	section_make(made, SHSTRTAB, ".shstrtab", SHT_STRTAB, made->section_names,
		     sizeof(made->section_names));
	header.e_shoff = made->size;
	memcpy(made->bytes, &header, sizeof(header));
	memcpy(made->bytes + made->size, made->sections, sizeof(made->sections));
	made->size += sizeof(made->sections);
}

static void file_write(const char *path, const struct made_bytes *made)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, made->bytes, made->size), made->size);
	close(fd);
}

static struct symbols *symbols_of_path(const char *path, const char *const roots[])
{
	struct symbols *symbols = NULL;
	struct elf_file file;

	assert_int_equal(elf_file_open(path, &file), 0);
	assert_int_equal(symbols_read(&file, roots, &symbols), 0);
	elf_file_close(&file);
	return symbols;
}

/* The symbols of a file in memory; it is not kept. */
static struct symbols *symbols_of(const struct made_symbol *all, size_t count)
{
	struct made_file file = {.symbols = all, .symbol_count = count};
	struct made_bytes *made = malloc(sizeof(*made));
	int fd = memfd_create("made", MFD_CLOEXEC);
	struct symbols *symbols;
	char path[64];

	assert_non_null(made);
	file_make(&file, made);
	assert_int_equal(write(fd, made->bytes, made->size), made->size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	symbols = symbols_of_path(path, no_roots);
	close(fd);
	free(made);
	return symbols;
}

#define SYMBOLS(name) symbols_of(name, COUNT(name))

static void assert_place(struct symbols *symbols, uint64_t address, const char *name,
			 uint64_t start, uint64_t end)
{
	struct symbol_place place;

	assert_int_equal(symbols_find(symbols, address, &place), 0);
	assert_string_equal(place.name, name);
	assert_int_equal(place.start, start);
	assert_int_equal(place.end, end);
}

static void assert_nothing(struct symbols *symbols, uint64_t address)
{
	struct symbol_place place = {.name = "untouched"};

	assert_int_equal(symbols_find(symbols, address, &place), -ENOENT);
	assert_string_equal(place.name, "untouched");
}

static void test_program(void **state)
{
	struct symbols *symbols = symbols_of_path("/proc/self/exe", no_roots);
	uint64_t address = (uint64_t)(uintptr_t)symbols_read, bias;
	const struct mapping *mapping;
	struct symbol_place place, again;
	struct process self;
	struct elf_file file;
	struct maps maps;

	assert_int_equal(process_open(getpid(), &self, NULL), 0);
	assert_int_equal(maps_read(&self, &maps), 0);
	mapping = maps_find(&maps, address);
	assert_int_equal(elf_file_open("/proc/self/exe", &file), 0);
	assert_int_equal(elf_load_bias(&file, mapping, &bias), 0);
	assert_int_equal(symbols_find(symbols, address - bias, &place), 0);
	assert_string_equal(place.name, "symbols_read");
	assert_int_equal(place.start, address - bias);
	assert_true(place.end > place.start);
	assert_int_equal(symbols_find(symbols, place.end - 1, &again), 0);
	assert_ptr_equal(again.name, place.name);
	assert_true(symbols_count(symbols) > 50);
	assert_nothing(symbols, 0);
	assert_nothing(symbols, UINT64_MAX);
	elf_file_close(&file);
	maps_free(&maps);
	process_close(&self);
	symbols_free(symbols);
}

static void test_best_name(void **state)
{
	static const struct made_symbol all[] = {
		{"_local", 0x1000, 0x10, STT_FUNC, STB_LOCAL, TEXT},
		{"the_global", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"a_longer_global", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"weak_b", 0x1010, 0x10, STT_FUNC, STB_WEAK, TEXT},
		{"weak_a", 0x1010, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"typed_local_one", 0x1020, 0x10, STT_FUNC, STB_LOCAL, TEXT},
		{"label", 0x1020, 0x10, STT_NOTYPE, STB_GLOBAL, TEXT},
		{"x", 0x1020, 0, STT_FUNC, STB_GLOBAL, TEXT},
		{"memcpy@@GLIBC_2.14", 0x1030, 0x10, STT_GNU_IFUNC, STB_GLOBAL, TEXT},
		{"memcpy_", 0x1030, 0x10, STT_GNU_IFUNC, STB_GLOBAL, TEXT},
		{"@odd", 0x1040, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
	};
	struct symbols *symbols = SYMBOLS(all);

	assert_int_equal(symbols_count(symbols), 5);
	assert_place(symbols, 0x1000, "the_global", 0x1000, 0x1010);
	assert_place(symbols, 0x101f, "weak_a", 0x1010, 0x1020);
	assert_place(symbols, 0x1025, "typed_local_one", 0x1020, 0x1030);
	assert_place(symbols, 0x1035, "memcpy", 0x1030, 0x1040);
	assert_place(symbols, 0x1045, "@odd", 0x1040, 0x1050);
	symbols_free(symbols);
}

/* Only defined functions in sections that are executed, and labels that can be functions. */
static void test_kinds(void **state)
{
	static const struct made_symbol all[] = {
		{"undefined", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, SHN_UNDEF},
		{"absolute", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, SHN_ABS},
		{"no_such_section", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, SECTIONS},
		{"object", 0x1000, 0x10, STT_OBJECT, STB_GLOBAL, TEXT},
		{"section", 0x1000, 0x10, STT_SECTION, STB_LOCAL, TEXT},
		{"in_data", 0x3000, 0x10, STT_FUNC, STB_GLOBAL, DATA},
		{"outside", 0x900, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"_etext", 0x2000, 0, STT_NOTYPE, STB_GLOBAL, TEXT},
		{"", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"$x", 0x1000, 0, STT_NOTYPE, STB_LOCAL, TEXT},
		{".annobin_end", 0x1000, 0, STT_NOTYPE, STB_LOCAL, TEXT},
		{".typed", 0x1100, 0x10, STT_FUNC, STB_LOCAL, TEXT},
		{"too_large", 0x1f00, UINT64_MAX, STT_FUNC, STB_LOCAL, TEXT},
	};
	struct symbols *symbols = SYMBOLS(all);

	assert_int_equal(symbols_count(symbols), 2);
	assert_nothing(symbols, 0x1000);
	assert_nothing(symbols, 0x3000);
	assert_place(symbols, 0x1100, ".typed", 0x1100, 0x1110);
	assert_nothing(symbols, 0x1110);
	assert_place(symbols, 0x1fff, "too_large", 0x1f00, 0x2000);
	assert_nothing(symbols, 0x2000);
	symbols_free(symbols);
}

/* A symbol without a size ends where the next one starts, or with its section. */
static void test_sizeless(void **state)
{
	static const struct made_symbol all[] = {
		{"first", 0x1000, 0, STT_FUNC, STB_GLOBAL, TEXT},
		{"second", 0x1080, 0, STT_NOTYPE, STB_LOCAL, TEXT},
		{"sized", 0x1100, 0x100, STT_FUNC, STB_GLOBAL, TEXT},
		{"loop_in_sized", 0x1140, 0, STT_NOTYPE, STB_LOCAL, TEXT},
		{"after", 0x1200, 0, STT_FUNC, STB_LOCAL, TEXT},
		{"_fini", 0x2000, 0, STT_FUNC, STB_GLOBAL, MORE_TEXT},
	};
	struct symbols *symbols = SYMBOLS(all);

	assert_place(symbols, 0x107f, "first", 0x1000, 0x1080);
	assert_place(symbols, 0x10ff, "second", 0x1080, 0x1100);
	assert_place(symbols, 0x1150, "sized", 0x1100, 0x1200);
	assert_place(symbols, 0x1200, "after", 0x1200, 0x2000);
	assert_place(symbols, 0x1fff, "after", 0x1200, 0x2000);
	assert_place(symbols, 0x20ff, "_fini", 0x2000, 0x2100);
	assert_nothing(symbols, 0x2100);
	symbols_free(symbols);
}

/* The innermost function counts, and after its end the one around it. */
static void test_nested(void **state)
{
	static const struct made_symbol all[] = {
		{"outer", 0x1000, 0x100, STT_FUNC, STB_GLOBAL, TEXT},
		{"at_its_start", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"inner", 0x1020, 0x40, STT_FUNC, STB_GLOBAL, TEXT},
		{"innermost", 0x1030, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"sibling", 0x1070, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"across_the_end", 0x10f0, 0x20, STT_FUNC, STB_GLOBAL, TEXT},
	};
	struct symbols *symbols = SYMBOLS(all);

	assert_place(symbols, 0x1000, "at_its_start", 0x1000, 0x1010);
	assert_place(symbols, 0x1010, "outer", 0x1000, 0x1100);
	assert_place(symbols, 0x1038, "innermost", 0x1030, 0x1040);
	assert_place(symbols, 0x1040, "inner", 0x1020, 0x1060);
	assert_place(symbols, 0x1060, "outer", 0x1000, 0x1100);
	assert_place(symbols, 0x107f, "sibling", 0x1070, 0x1080);
	assert_place(symbols, 0x10ef, "outer", 0x1000, 0x1100);
	assert_place(symbols, 0x10f0, "across_the_end", 0x10f0, 0x1110);
	assert_place(symbols, 0x110f, "across_the_end", 0x10f0, 0x1110);
	assert_nothing(symbols, 0x1110);
	symbols_free(symbols);
}

/* Many functions in one: what lies behind them all is still the outer one's. */
static void test_siblings(void **state)
{
	struct made_symbol all[101];
	static char names[101][8];
	struct symbols *symbols;

	for (size_t i = 1; i < COUNT(all); i++) {
		snprintf(names[i], sizeof(names[i]), "in%zu", i);
		all[i] = (struct made_symbol){names[i], 0x1000 + 16 * i, 8,
					      STT_FUNC, STB_LOCAL,       TEXT};
	}
	all[0] = (struct made_symbol){"outer", 0x1000, 0x800, STT_FUNC, STB_GLOBAL, TEXT};
	symbols = SYMBOLS(all);
	assert_place(symbols, 0x1018, "outer", 0x1000, 0x1800);
	assert_place(symbols, 0x17ff, "outer", 0x1000, 0x1800);
	assert_place(symbols, 0x1640, "in100", 0x1640, 0x1648);
	assert_nothing(symbols, 0x1800);
	symbols_free(symbols);
}

static void test_names(void **state)
{
	static char long_name[6001];
	struct made_symbol all[] = {
		{long_name, 0x1000, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"not\xffutf8\xe2\x82", 0x1010, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
		{"_ZNSt6vectorIiSaIiEE9push_backERKi.part.0", 0x1020, 0x10, STT_FUNC, STB_LOCAL,
		 TEXT},
		{"gr\xc3\xb6\xc3\x9f"
		 "e",
		 0x1030, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
	};
	struct symbol_place place;
	struct symbols *symbols;

	/* The cut at 4096 bytes falls into a character. */
	memset(long_name, 'x', 4094);
	for (size_t i = 4094; i < sizeof(long_name) - 3; i += 3)
		memcpy(long_name + i, "\xe2\x82\xac", 3);
	symbols = SYMBOLS(all);
	assert_int_equal(symbols_find(symbols, 0x1000, &place), 0);
	assert_int_equal(strlen(place.name), 4094);
	assert_place(symbols, 0x1010, "not\xef\xbf\xbdutf8\xef\xbf\xbd\xef\xbf\xbd", 0x1010,
		     0x1020);
	assert_place(symbols, 0x1020, "std::vector<int, std::allocator<int> >::push_back.part.0",
		     0x1020, 0x1030);
	assert_place(symbols, 0x1030,
		     "gr\xc3\xb6\xc3\x9f"
		     "e",
		     0x1030, 0x1040);
	symbols_free(symbols);
}

static void test_empty(void **state)
{
	struct symbols *symbols = symbols_of(NULL, 0);

	assert_int_equal(symbols_count(symbols), 0);
	assert_nothing(symbols, 0x1000);
	symbols_free(symbols);
	symbols_free(NULL);
}

/* A folder of debug files, with a file that was stripped and what was taken from it. */
struct tree {
	char root[32];
	char program[64];
	char debug[128];
	const char *roots[3];
	struct made_bytes made;
};

static const struct made_symbol exported[] = {
	{"exported", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
};

static const struct made_symbol stripped[] = {
	{"exported", 0x1000, 0x10, STT_FUNC, STB_GLOBAL, TEXT},
	{"stripped", 0x1010, 0x10, STT_FUNC, STB_LOCAL, TEXT},
};

static void tree_make(struct tree *tree)
{
	strcpy(tree->root, "/tmp/test_symbols_XXXXXX");
	assert_non_null(mkdtemp(tree->root));
	snprintf(tree->program, sizeof(tree->program), "%s/program", tree->root);
	tree->roots[0] = "/no/such/root";
	tree->roots[1] = tree->root;
	tree->roots[2] = NULL;
}

static void tree_remove(struct tree *tree)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", tree->root);
	assert_int_equal(system(command), 0);
}

static void debug_directory_make(struct tree *tree, const char *directory, const char *name)
{
	snprintf(tree->debug, sizeof(tree->debug), "%s%s", tree->root, directory);
	for (char *at = tree->debug + strlen(tree->root) + 1; at; at = strchr(at + 1, '/')) {
		char kept = *at;

		*at = '\0';
		mkdir(tree->debug, 0700);
		*at = kept;
	}
	mkdir(tree->debug, 0700);
	strncat(tree->debug, "/", sizeof(tree->debug) - strlen(tree->debug) - 1);
	strncat(tree->debug, name, sizeof(tree->debug) - strlen(tree->debug) - 1);
}

static void tree_write(struct tree *tree, const char *path, const struct made_file *file)
{
	file_make(file, &tree->made);
	file_write(path, &tree->made);
}

static void assert_stripped_found(struct tree *tree, const char *name)
{
	struct symbols *symbols = symbols_of_path(tree->program, tree->roots);

	assert_place(symbols, 0x1000, "exported", 0x1000, 0x1010);
	if (name)
		assert_place(symbols, 0x1010, name, 0x1010, 0x1020);
	else
		assert_nothing(symbols, 0x1010);
	symbols_free(symbols);
}

static void test_debug_by_build_id(void **state)
{
	struct made_file program = {.symbols = exported,
				    .symbol_count = COUNT(exported),
				    .build_id = "\xab\x01"
						"234567"};
	struct made_file debug = {.symbols = stripped,
				  .symbol_count = COUNT(stripped),
				  .build_id = "\xab\x01"
					      "234567"};
	struct tree tree;

	tree_make(&tree);
	debug_directory_make(&tree, "/.build-id/ab", "01323334353637.debug");
	tree_write(&tree, tree.program, &program);
	assert_stripped_found(&tree, NULL);
	tree_write(&tree, tree.debug, &debug);
	assert_stripped_found(&tree, "stripped");
	debug.build_id = "\xab\x01"
			 "234568";
	tree_write(&tree, tree.debug, &debug);
	assert_stripped_found(&tree, NULL);
	debug.build_id = NULL;
	tree_write(&tree, tree.debug, &debug);
	assert_stripped_found(&tree, NULL);
	tree_remove(&tree);
}

static void link_fill(const struct tree *tree, uint8_t link[20])
{
	uint32_t sum = (uint32_t)crc32(0, tree->made.bytes, (uInt)tree->made.size);

	memset(link, 0, 20);
	strcpy((char *)link, "program.debug"); /* 14 bytes, padded to 16 */
	memcpy(link + 16, &sum, sizeof(sum));
}

static void test_debug_by_link(void **state)
{
	struct made_file program = {.symbols = exported, .symbol_count = COUNT(exported)};
	struct made_file debug = {.symbols = stripped, .symbol_count = COUNT(stripped)};
	static const char *const directories[] = {"", "/.debug", NULL};
	uint8_t link[20];
	struct tree tree;

	tree_make(&tree);
	for (size_t i = 0; i < COUNT(directories); i++) {
		/* The last way: the root, and in it the program's own folder. */
		debug_directory_make(&tree, directories[i] ? directories[i] : tree.root,
				     "program.debug");
		tree_write(&tree, tree.debug, &debug);
		link_fill(&tree, link);
		program.link = link;
		program.link_size = sizeof(link);
		tree_write(&tree, tree.program, &program);
		assert_stripped_found(&tree, "stripped");
		link[17] ^= 1;
		tree_write(&tree, tree.program, &program);
		assert_stripped_found(&tree, NULL);
		unlink(tree.debug);
	}
	tree_remove(&tree);
}

/* Links that lead nowhere, or out of the folders that are looked in. */
static void test_debug_bad_link(void **state)
{
	static const char *const names[] = {"", "/etc/passwd", "../program.debug",
					    "0123456789abcdefghij"};
	struct made_file program = {.symbols = exported, .symbol_count = COUNT(exported)};
	struct made_file debug = {.symbols = stripped, .symbol_count = COUNT(stripped)};
	uint8_t link[20];
	struct tree tree;

	tree_make(&tree);
	for (size_t i = 0; i < COUNT(names); i++) {
		memset(link, 0, sizeof(link));
		memcpy(link, names[i], strlen(names[i]));
		program.link = link;
		for (program.link_size = 0; program.link_size <= sizeof(link);
		     program.link_size++) {
			tree_write(&tree, tree.program, &program);
			assert_stripped_found(&tree, NULL);
		}
	}
	/* A name that is a path, though to a file with the right checksum. */
	debug_directory_make(&tree, "/other", "x.debug");
	tree_write(&tree, tree.debug, &debug);
	link_fill(&tree, link);
	memcpy(link, "other/x.debug", sizeof("other/x.debug"));
	program.link_size = sizeof(link);
	tree_write(&tree, tree.program, &program);
	assert_stripped_found(&tree, NULL);
	tree_remove(&tree);
}

static void test_debug_embedded(void **state)
{
	struct made_file program = {.symbols = exported, .symbol_count = COUNT(exported)};
	struct made_file debug = {.symbols = stripped, .symbol_count = COUNT(stripped)};
	static uint8_t packed[sizeof(struct made_bytes)];
	size_t size = 0;
	struct tree tree;

	tree_make(&tree);
	file_make(&debug, &tree.made);
	assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, tree.made.bytes,
						 tree.made.size, packed, &size, sizeof(packed)),
			 LZMA_OK);
	program.packed = packed;
	program.packed_size = size;
	tree_write(&tree, tree.program, &program);
	assert_stripped_found(&tree, "stripped");
	for (program.packed_size = 0; program.packed_size < size; program.packed_size += 7) {
		tree_write(&tree, tree.program, &program);
		assert_stripped_found(&tree, NULL);
	}
	program.packed_size = size;
	packed[size / 2] ^= 0x55;
	tree_write(&tree, tree.program, &program);
	assert_stripped_found(&tree, NULL);
	tree_remove(&tree);
}

/* Calls everything: nothing may crash, whatever the file holds. */
static void use(const char *path)
{
	struct symbols *symbols;
	struct symbol_place place;
	struct elf_file file;
	int error;

	if (elf_file_open(path, &file))
		return;
	error = symbols_read(&file, no_roots, &symbols);
	elf_file_close(&file);
	assert_true(error == 0 || error == -EINVAL);
	if (error)
		return;
	for (uint64_t address = 0x1000; address < 0x1100; address++)
		if (!symbols_find(symbols, address, &place)) {
			assert_true(place.start <= address && address < place.end);
			assert_true(utf8_valid(place.name));
		}
	symbols_free(symbols);
}

static void test_damaged(void **state)
{
	struct made_file program = {
		.symbols = stripped, .symbol_count = COUNT(stripped), .build_id = "abcdefgh"};
	static const uint8_t values[] = {0, 1, 0x7f, 0xff};
	struct made_bytes *made = malloc(sizeof(*made));
	int fd = memfd_create("made", MFD_CLOEXEC);
	char path[64];

	assert_non_null(made);
	file_make(&program, made);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (size_t at = 0; at < made->size; at++)
		for (size_t i = 0; i < sizeof(values); i++) {
			uint8_t kept = made->bytes[at];

			made->bytes[at] = values[i];
			assert_int_equal(pwrite(fd, made->bytes, made->size, 0), made->size);
			use(path);
			made->bytes[at] = kept;
		}
	for (size_t size = made->size; size > 0; size--) {
		assert_int_equal(ftruncate(fd, (off_t)size - 1), 0);
		use(path);
	}
	close(fd);
	free(made);
}

static void test_damaged_table(void **state)
{
	struct made_file program = {.symbols = stripped, .symbol_count = COUNT(stripped)};
	struct symbols *symbols = NULL;
	struct elf_file file;
	Elf64_Shdr table;
	struct tree tree;
	size_t place;

	tree_make(&tree);
	file_make(&program, &tree.made);
	place = tree.made.size - sizeof(tree.made.sections) + SYMTAB * sizeof(table);
	memcpy(&table, tree.made.bytes + place, sizeof(table));
	table.sh_entsize = 23;
	memcpy(tree.made.bytes + place, &table, sizeof(table));
	file_write(tree.program, &tree.made);
	assert_int_equal(elf_file_open(tree.program, &file), 0);
	assert_int_equal(symbols_read(&file, no_roots, &symbols), -EINVAL);
	assert_null(symbols);
	elf_file_close(&file);
	tree_remove(&tree);
}

static void assert_demangled(const char *name, const char *expected)
{
	char *demangled = symbol_demangle(name);

	assert_non_null(demangled);
	assert_string_equal(demangled, expected);
	free(demangled);
}

static void test_demangle(void **state)
{
	static const char *const pairs[][2] = {
		{"main", "main"},
		{"_PyEval_EvalFrameDefault.cold", "_PyEval_EvalFrameDefault.cold"},
		{"i", "i"}, /* a type's encoding, but here a name */
		{"_ZN3foo3barEi", "foo::bar"},
		{"_Z3fooIiEvT_", "foo<int>"},
		{"_ZNSi6ignoreEv", "std::istream::ignore"},
		{"_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo"},
		{"_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()"},
		{"_ZThn16_N3fooD1Ev", "non-virtual thunk to foo::~foo()"},
		{"_ZN3foo3barEi.cold", "foo::bar.cold"},
		{"_ZNK3foo3barEv.constprop.0.isra.0", "foo::bar.constprop.0.isra.0"},
		{"_GLOBAL__sub_I_main.cc", "_GLOBAL__sub_I_main.cc"},
		{"_ZN4core3ops8function6FnOnce40call_once$u7b$$u7b$vtable.shim$u7d$$u7d$"
		 "17h0123456789abcdefE",
		 "core::ops::function::FnOnce::call_once{{vtable.shim}}"},
		{"_ZN50_$LT$T$u20$as$u20$core..convert..Into$LT$U$GT$$GT$4into17h0123456789abcdefE"
		 ".llvm.123",
		 "<T as core::convert::Into<U>>::into"},
		{"_RNvCs1234_7mycrate3foo", "mycrate::foo"},
		{"_RINvNtC3std3mem8align_ofdE", "std::mem::align_of::<f64>"},
		{"_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
		 "utf8_idents::\xe1\x83\xa1\xe1\x83\x90\xe1\x83\xad\xe1\x83\x9b\xe1\x83\x94\xe1\x83"
		 "\x9a\xe1\x83\x90\xe1\x83\x93_\xe1\x83\x92\xe1\x83\x94\xe1\x83\x9b\xe1\x83\xa0"
		 "\xe1\x83\x98\xe1\x83\x94\xe1\x83\x9a\xe1\x83\x98_\xe1\x83\xa1\xe1\x83\x90\xe1\x83"
		 "\x93\xe1\x83\x98\xe1\x83\x9a\xe1\x83\x98"},
		{"_RNtC0eEE", "_RNtC0eEE"}, /* a part of it is an empty name */
		{"_Z", "_Z"},
		{"_ZN", "_ZN"},
		{"_R", "_R"},
		{"", ""},
		{"caf\xe9", "caf\xef\xbf\xbd"},
	};

	for (size_t i = 0; i < COUNT(pairs); i++)
		assert_demangled(pairs[i][0], pairs[i][1]);
}

static void repeat(char *text, const char *piece, int count)
{
	text += strlen(text);
	while (count-- > 0)
		text = stpcpy(text, piece);
}

/* Names that stand for far more than there is time or memory for. */
static void test_demangle_endless(void **state)
{
	char name[4096] = "_ZN1Acv", *demangled;
	char number[16];

	/* Arguments of a template parameter, tried in two ways at each depth: stays as it is. */
	repeat(name, "T_I", 60);
	repeat(name, "i", 1);
	repeat(name, "E", 61);
	assert_demangled(name, name);
	/* The same of Rust: 62^9 lifetimes that are counted and not written. */
	assert_demangled("_RNvC1a1fINvC1a1bFGzzzzzzzzz_EuE", "_RNvC1a1fINvC1a1bFGzzzzzzzzz_EuE");
	assert_demangled("_RINvC1a1fFG1_EuE", "a::f::<for<'a, 'b, 'c> fn()>");
	/* B<B<…, …>, …>, each level twice the one before it: cut. */
	strcpy(name, "_Z1fI1BIiiE");
	for (int i = 1; i <= 30; i++) {
		snprintf(number, sizeof(number), "S%c_", i < 10 ? '0' + i : 'A' + i - 10);
		repeat(name, "S0_I", 1);
		repeat(name, number, 2);
		repeat(name, "E", 1);
	}
	repeat(name, "Evv", 1);
	demangled = symbol_demangle(name);
	assert_non_null(demangled);
	assert_int_equal(strlen(demangled), 4096);
	assert_memory_equal(demangled, "f<B<int, int>, B<", 17);
	free(demangled);
}

/* A file of names that each take too long is given up, in a time that does not grow with it. */
static void test_demangle_patience(void **state)
{
	static char names[60][256];
	struct made_symbol all[60];
	struct symbol_place place;
	struct symbols *symbols;
	clock_t before = clock();

	for (int i = 0; i < 60; i++) {
		snprintf(names[i], sizeof(names[i]), "_ZN3A%02dcv", i);
		repeat(names[i], "T_I", 50);
		repeat(names[i], "i", 1);
		repeat(names[i], "E", 51);
		all[i] = (struct made_symbol){
			names[i], 0x1000 + 16 * (uint64_t)i, 16, STT_FUNC, STB_GLOBAL, TEXT};
	}
	symbols = SYMBOLS(all);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(symbols_find(symbols, all[i].value, &place), 0);
		assert_string_equal(place.name, names[i]);
	}
	symbols_free(symbols);
	/* 16 names of 20 ms; all 60 would take more than a second. */
	assert_true((clock() - before) / (CLOCKS_PER_SEC / 1000) < 900);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_best_name),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_sizeless),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_siblings),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_debug_by_build_id),
		cmocka_unit_test(test_debug_by_link),
		cmocka_unit_test(test_debug_bad_link),
		cmocka_unit_test(test_debug_embedded),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_damaged_table),
		cmocka_unit_test(test_demangle),
		cmocka_unit_test(test_demangle_endless),
		cmocka_unit_test(test_demangle_patience),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
