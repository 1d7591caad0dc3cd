/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes user/python/offset_table.c: reads the debug information (DWARF) of CPython builds, one
 * file per minor version, and prints a row of struct python_layout for each.
 *
 *     offset_table libpython3.7m.so.1.0 libpython3.8.so.1.0 ... > user/python/offset_table.c
 *
 * Any build with debug information will do, as long as it is a plain one (no Py_DEBUG, no
 * Py_TRACE_REFS): the layout of these structs depends on the minor version and the machine alone.
 * Leaves fields that are computed from others, and versions with _Py_DebugOffsets, to
 * user/python/offsets.c.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a field of the row comes from: the first of the paths that the build has. */
struct field {
	const char *name;
	struct {
		const char *type;   /* a struct's tag or a typedef's name; "" ends the list */
		const char *member; /* members separated by dots */
	} sources[4];
	bool required;
};

#define RUNTIME     "pyruntimestate"
#define INTERPRETER "_is"
#define THREAD      "_ts"
#define OLD_FRAME   "_frame"
#define FRAME       "_PyInterpreterFrame"
#define CODE        "PyCodeObject"

static const struct field fields[] = {
	{"runtime_interpreters_head", {{RUNTIME, "interpreters.head"}}, true},
	{"runtime_gil", {{RUNTIME, "ceval.gil"}}, false},
	{"runtime_gc_collecting", {{RUNTIME, "gc.collecting"}}, false},
	{"interpreter_next", {{INTERPRETER, "next"}}, true},
	{"interpreter_threads_head",
	 {{INTERPRETER, "threads.head"}, {INTERPRETER, "tstate_head"}},
	 true},
	{"interpreter_gil", {{INTERPRETER, "ceval.gil"}}, false},
	{"interpreter_gc_collecting", {{INTERPRETER, "gc.collecting"}}, false},
	{"gil_size", {{"_gil_runtime_state", ""}}, true},
	{"gil_last_holder", {{"_gil_runtime_state", "last_holder"}}, true},
	{"gil_locked", {{"_gil_runtime_state", "locked"}}, true},
	{"thread_prev", {{THREAD, "prev"}}, true},
	{"thread_next", {{THREAD, "next"}}, true},
	{"thread_interpreter", {{THREAD, "interp"}}, true},
	{"thread_id", {{THREAD, "thread_id"}}, true},
	/* 3.10 has a cframe too, for tracing alone. */
	{"thread_frame", {{THREAD, "frame"}, {THREAD, "cframe"}, {THREAD, "current_frame"}}, true},
	{"cframe_current_frame",
	 {{"_cframe", "current_frame"}, {"_PyCFrame", "current_frame"}},
	 false},
	{"cframe_previous", {{"_cframe", "previous"}, {"_PyCFrame", "previous"}}, false},
	{"frame_previous", {{FRAME, "previous"}, {OLD_FRAME, "f_back"}}, true},
	{"frame_code", {{FRAME, "f_executable"}, {FRAME, "f_code"}, {OLD_FRAME, "f_code"}}, true},
	{"frame_instruction",
	 {{FRAME, "instr_ptr"}, {FRAME, "prev_instr"}, {OLD_FRAME, "f_lasti"}},
	 true},
	{"frame_entry", {{FRAME, "is_entry"}}, false}, /* 3.11 alone */
	{"frame_owner", {{FRAME, "owner"}}, false},
	{"code_name", {{CODE, "co_name"}}, true},
	{"code_qualified_name", {{CODE, "co_qualname"}}, false},
	{"code_filename", {{CODE, "co_filename"}}, true},
	{"code_first_line", {{CODE, "co_firstlineno"}}, true},
	{"code_line_table", {{CODE, "co_linetable"}, {CODE, "co_lnotab"}}, true},
	{"code_instructions", {{CODE, "co_code_adaptive"}}, false},
	{"code_bytecode", {{CODE, "co_code"}}, false},
	{"code_version", {{CODE, "co_version"}}, false},
	{"object_type", {{"_object", "ob_type"}}, true},
	{"bytes_size", {{"PyVarObject", "ob_size"}}, true},
	{"bytes_data", {{"PyBytesObject", "ob_sval"}}, true},
	{"text_length", {{"PyASCIIObject", "length"}}, true},
	{"text_hash", {{"PyASCIIObject", "hash"}}, true},
	{"text_state", {{"PyASCIIObject", "state"}}, true},
	{"text_ascii_data", {{"PyASCIIObject", ""}}, true},
	{"text_compact_data", {{"PyCompactUnicodeObject", ""}}, true},
};

static bool is_aggregate(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return (tag == DW_TAG_structure_type || tag == DW_TAG_union_type) &&
	       !dwarf_hasattr(die, DW_AT_declaration);
}

/* Follows the type of a member, a typedef or a qualified type to the struct behind it. */
static bool type_resolve(Dwarf_Die *die, Dwarf_Die *type)
{
	Dwarf_Attribute attribute;
	Dwarf_Die found;

	if (!dwarf_formref_die(dwarf_attr_integrate(die, DW_AT_type, &attribute), &found) ||
	    dwarf_peel_type(&found, type))
		return false;
	return true;
}

/* Finds a complete struct by its tag or by the name of a typedef in one compilation unit. */
static bool type_find_in(Dwarf_Die *unit, const char *name, Dwarf_Die *type)
{
	Dwarf_Die child;

	if (dwarf_child(unit, &child))
		return false;
	do {
		const char *found = dwarf_diename(&child);
		Dwarf_Die target;

		if (!found || strcmp(found, name))
			continue;
		if (is_aggregate(&child)) {
			*type = child;
			return true;
		}
		if (dwarf_tag(&child) == DW_TAG_typedef && type_resolve(&child, &target) &&
		    is_aggregate(&target)) {
			*type = target;
			return true;
		}
	} while (!dwarf_siblingof(&child, &child));
	return false;
}

static bool type_find(Dwarf *dwarf, const char *name, Dwarf_Die *type)
{
	Dwarf_Off offset = 0, next;
	size_t header;

	while (!dwarf_nextcu(dwarf, offset, &next, &header, NULL, NULL, NULL)) {
		Dwarf_Die unit;

		if (dwarf_offdie(dwarf, offset + header, &unit) && type_find_in(&unit, name, type))
			return true;
		offset = next;
	}
	return false;
}

/* The position of a member in bits, and its DIE. */
static bool member_find(Dwarf_Die *type, const char *name, size_t length, Dwarf_Die *member,
			Dwarf_Word *bits)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (dwarf_child(type, member))
		return false;
	do {
		const char *found = dwarf_diename(member);

		if (dwarf_tag(member) != DW_TAG_member || !found || strlen(found) != length ||
		    strncmp(found, name, length))
			continue;
		*bits = 0;
		if (!dwarf_formudata(dwarf_attr(member, DW_AT_data_member_location, &attribute),
				     &value))
			*bits = value * 8;
		if (!dwarf_formudata(dwarf_attr(member, DW_AT_data_bit_offset, &attribute), &value))
			*bits += value;
		return true;
	} while (!dwarf_siblingof(member, member));
	return false;
}

/* The place of a member, in bits from the start of the type; of "" the type's size. */
static bool member_bits(Dwarf *dwarf, const char *name, const char *path, Dwarf_Word *bits)
{
	Dwarf_Die type, member;
	Dwarf_Word at;

	if (!type_find(dwarf, name, &type))
		return false;
	*bits = 0;
	if (!*path) {
		int size = dwarf_bytesize(&type);

		*bits = (Dwarf_Word)size * 8;
		return size > 0;
	}
	for (;;) {
		size_t length = strcspn(path, ".");

		if (!member_find(&type, path, length, &member, &at))
			return false;
		*bits += at;
		if (!path[length])
			return true;
		if (!type_resolve(&member, &type) || !is_aggregate(&type))
			return false;
		path += length + 1;
	}
}

static bool field_print(Dwarf *dwarf, const struct field *field)
{
	for (size_t i = 0; i < 4 && field->sources[i].type; i++) {
		Dwarf_Word bits;

		if (!member_bits(dwarf, field->sources[i].type, field->sources[i].member, &bits))
			continue;
		printf("\t\t.%s = %llu,\n", field->name, (unsigned long long)bits / 8);
		return true;
	}
	return !field->required;
}

/* The model of frames, and what goes with it, by version: no debug information says that. */
static void model_print(unsigned int minor)
{
	printf("\t\t.frame_model = %s,\n", minor <= 10   ? "FRAME_MODEL_OBJECT"
					   : minor <= 12 ? "FRAME_MODEL_CFRAME"
							 : "FRAME_MODEL_CURRENT");
	printf("\t\t.line_format = %s,\n", minor <= 9    ? "LINE_FORMAT_LNOTAB"
					   : minor == 10 ? "LINE_FORMAT_LINETABLE"
							 : "LINE_FORMAT_LOCATIONS");
	/* enum _frameowner of pycore_frame.h: 3.11 has none that is no Python code. */
	printf("\t\t.frame_owner_shim = %d,\n", minor >= 12 ? 3 : 255);
	/* f_lasti counts instructions of two bytes in 3.10 (Objects/frameobject.c), else bytes. */
	printf("\t\t.instruction_scale = %d,\n", minor == 10 ? 2 : 1);
}

static bool row_print(Dwarf *dwarf, const char *path)
{
	const char *name = strrchr(path, '/');
	Dwarf_Word bits, state;
	unsigned int minor;

	name = name ? name + 1 : path;
	if (sscanf(name, "libpython3.%u", &minor) != 1) {
		fprintf(stderr, "%s: not named libpython3.N…\n", path);
		return false;
	}
	printf("\t{\n\t\t.version = 0x03%02x,\n", minor);
	model_print(minor);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (!field_print(dwarf, &fields[i])) {
			fprintf(stderr, "%s: nothing found for %s\n", path, fields[i].name);
			return false;
		}
	}
	if (!member_bits(dwarf, "PyASCIIObject", "state", &state) ||
	    !member_bits(dwarf, "PyASCIIObject", "state.kind", &bits)) {
		fprintf(stderr, "%s: no PyASCIIObject.state.kind\n", path);
		return false;
	}
	printf("\t\t.text_kind_shift = %llu,\n", (unsigned long long)(bits - state));
	printf("\t},\n");
	return true;
}

static bool file_print(const char *path)
{
	int fd = open(path, O_RDONLY);
	Dwarf *dwarf;
	bool done;

	if (fd < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	dwarf = dwarf_begin(fd, DWARF_C_READ);
	if (!dwarf) {
		fprintf(stderr, "%s: %s\n", path, dwarf_errmsg(-1));
		close(fd);
		return false;
	}
	done = row_print(dwarf, path);
	dwarf_end(dwarf);
	close(fd);
	return done;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s libpython3.N.so... (in ascending order)\n", argv[0]);
		return 2;
	}
	printf("/* SPDX-License-Identifier: BSD-2-Clause */\n"
	       "/* Generated by tools/offset_table.c from CPython's debug information, x86-64. */\n"
	       "#include \"python/offsets.h\"\n\n"
	       "const struct python_layout layout_table[] = {\n");
	for (int i = 1; i < argc; i++)
		if (!file_print(argv[i]))
			return 1;
	printf("};\n\n"
	       "const size_t layout_table_count = sizeof(layout_table) / sizeof(*layout_table);\n");
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
