/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns the reading of mappings, functions and locations. A function has no kind in the file: it is
 * that of its locations, which are walked twice therefore.
 */
#include "profile/pprof_reader.h"

#include <errno.h>

#include "pprof.pb-c.h"
#include "profile/pprof.h"
#include "profile/pprof_words.h"

/* What is neither a path nor a build-id says nothing of a file: old recordings have such ones. */
static int mapping_module(struct reader *reader, const Pprof__Mapping *mapping, uint32_t *module)
{
	uint32_t path, build_id;
	int result = reader_string(reader, mapping->filename, &path);

	if (!result)
		result = reader_string(reader, mapping->build_id, &build_id);
	if (!result && profile_module(reader->profile, path, build_id, module))
		result = reader_no_memory(reader);
	return result;
}

static int read_mapping(struct reader *reader, const struct field *field)
{
	struct mapping_part part = {0};
	Pprof__Mapping *mapping;
	int result;

	mapping = pprof__mapping__unpack(NULL, field->size, field->data);
	if (!mapping)
		return reader_damaged(reader, "a mapping cannot be read");
	if (mapping->id != (uint64_t)reader->mappings.count + 1)
		result = reader_damaged(reader, "its mappings are not in order");
	else
		result = reader_string_is(reader, mapping->filename, KERNEL_MAPPING, &part.kernel);
	if (!result && !part.kernel)
		result = mapping_module(reader, mapping, &part.module);
	pprof__mapping__free_unpacked(mapping, NULL);
	return result ? result : reader_add(reader, &reader->mappings, &part, sizeof(part));
}

static int read_function(struct reader *reader, const struct field *field)
{
	struct function_part part = {.kind = KIND_COUNT};
	Pprof__Function *function;
	int result = 0;

	function = pprof__function__unpack(NULL, field->size, field->data);
	if (!function)
		return reader_damaged(reader, "a function cannot be read");
	if (function->id != (uint64_t)reader->functions.count + 1)
		result = reader_damaged(reader, "its functions are not in order");
	else if (function->start_line < INT32_MIN || function->start_line > INT32_MAX)
		result = reader_damaged(reader, "a line number makes no sense");
	if (!result)
		result = reader_string(reader, function->name, &part.name);
	if (!result)
		result = reader_string(reader, function->filename, &part.filename);
	part.start_line = (int32_t)function->start_line;
	pprof__function__free_unpacked(function, NULL);
	return result ? result : reader_add(reader, &reader->functions, &part, sizeof(part));
}

/* What a location tells of its function. Without a mapping, only native code has an address. */
static void location_code(const struct reader *reader, const Pprof__Location *location,
			  struct function_part *code)
{
	const struct mapping_part *mapping = reader->mappings.items;

	code->kind = KIND_NATIVE;
	code->module = 0;
	if (!location->mapping_id) {
		code->kind = location->address ? KIND_NATIVE : KIND_PYTHON;
		return;
	}
	mapping += location->mapping_id - 1;
	code->kind = mapping->kernel ? KIND_KERNEL : KIND_NATIVE;
	code->module = mapping->module;
}

/* Checks a location and takes it apart. Of *code, what it tells of its function is filled in. */
static int location_unpack(struct reader *reader, const struct field *field, uint64_t *id,
			   struct profile_location *it, struct function_part *code)
{
	Pprof__Location *location;
	int result = 0;

	location = pprof__location__unpack(NULL, field->size, field->data);
	if (!location)
		return reader_damaged(reader, "a location cannot be read");
	if (location->n_line != 1 || !location->line[0]->function_id ||
	    location->line[0]->function_id > reader->functions.count ||
	    location->mapping_id > reader->mappings.count)
		result = reader_damaged(reader,
					"a location names a function or a file that is not there");
	else if (location->line[0]->line < INT32_MIN || location->line[0]->line > INT32_MAX)
		result = reader_damaged(reader, "a line number makes no sense");
	if (!result) {
		location_code(reader, location, code);
		it->function = (uint32_t)location->line[0]->function_id - 1;
		it->line = (int32_t)location->line[0]->line;
		it->address = location->address;
		if (code->kind == KIND_NATIVE && !code->module && it->address < PPROF_NO_CODE)
			it->address = 0;
		*id = location->id;
	}
	pprof__location__free_unpacked(location, NULL);
	return result;
}

/* A function's kind and module are those of its locations. */
static int read_code(struct reader *reader, const struct field *field)
{
	struct function_part *function = reader->functions.items, code;
	struct profile_location it;
	uint64_t id;
	int result;

	result = location_unpack(reader, field, &id, &it, &code);
	if (result)
		return result;
	function += it.function;
	if (function->kind != KIND_COUNT && function->kind != code.kind)
		return reader_damaged(reader, "a function is of two kinds");
	if (function->kind != KIND_COUNT && function->module != code.module)
		return reader_damaged(reader, "a function is in two files");
	function->kind = code.kind;
	function->module = code.module;
	return 0;
}

static int add_functions(struct reader *reader)
{
	struct function_part *parts = reader->functions.items;
	struct profile_function function;
	uint32_t at;

	for (at = 0; at < reader->functions.count; at++) {
		function.name = parts[at].name;
		function.filename = parts[at].filename;
		function.start_line = parts[at].start_line;
		function.kind = parts[at].kind == KIND_COUNT ? KIND_PYTHON : parts[at].kind;
		function.module = parts[at].module;
		if (profile_function(reader->profile, &function, &parts[at].id))
			return reader_no_memory(reader);
	}
	return 0;
}

static int read_location(struct reader *reader, const struct field *field)
{
	const struct function_part *functions = reader->functions.items;
	struct profile_location it;
	struct function_part code;
	uint64_t id;
	uint32_t found;
	int result;

	result = location_unpack(reader, field, &id, &it, &code);
	if (result)
		return result;
	if (id != (uint64_t)reader->locations.count + 1)
		return reader_damaged(reader, "its locations are not in order");
	it.function = functions[it.function].id;
	if (profile_location(reader->profile, &it, &found))
		return reader_no_memory(reader);
	return reader_add(reader, &reader->locations, &found, sizeof(found));
}

int reader_places(struct reader *reader)
{
	int result;

	result = reader_parts(reader, FIELD_MAPPING, read_mapping);
	if (!result)
		result = reader_parts(reader, FIELD_FUNCTION, read_function);
	if (!result)
		result = reader_parts(reader, FIELD_LOCATION, read_code);
	if (!result)
		result = add_functions(reader);
	return result ? result : reader_parts(reader, FIELD_LOCATION, read_location);
}
