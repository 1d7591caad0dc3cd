/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes unwind tables from arbitrary .eh_frame sections, and compares what is found in them with
 * the functions themselves. The first 8 bytes are the section's address.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "native/cfi.h"
#include "native/unwind_table.h"

#define PADDING 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

struct stretch {
	uint64_t start;
	uint64_t end;
	struct unwind_rule rule;
};

struct stretches {
	struct stretch *all;
	size_t count;
	uint64_t start; /* of the function that is read */
	uint64_t end;
	uint64_t next;
};

static int stretch_keep(void *context, uint64_t start, uint64_t end, const struct unwind_rule *rule)
{
	struct stretches *stretches = context;
	struct stretch *all;

	require(start == stretches->next && start < end && end <= stretches->end);
	stretches->next = end;
	all = realloc(stretches->all, (stretches->count + 1) * sizeof(*all));
	require(all);
	stretches->all = all;
	all[stretches->count++] = (struct stretch){start, end, *rule};
	return 0;
}

/* Reads a function up to `limit`. Returns false if it is damaged. */
static bool function_read(const struct cfi *cfi, const struct cfi_function *function,
			  uint64_t limit, struct stretches *stretches)
{
	size_t before = stretches->count, kept = before;
	int error;

	stretches->next = stretches->start = function->start;
	stretches->end = function->end;
	error = cfi_read_function(cfi, function, stretch_keep, stretches);
	require(!error || error == -EINVAL);
	require(error || stretches->next == function->end);
	for (size_t i = before; i < stretches->count && !error; i++) {
		struct stretch *stretch = &stretches->all[i];

		if (stretch->start >= limit)
			break;
		if (stretch->end > limit)
			stretch->end = limit;
		kept++;
	}
	stretches->count = kept;
	return !error;
}

/* All stretches that the table is to have, ascending. Returns how many functions are damaged. */
static uint64_t functions_read(const struct cfi *cfi, const struct cfi_functions *functions,
			       struct stretches *stretches)
{
	uint64_t damaged = functions->damaged;

	for (size_t i = 0; i < functions->count; i++) {
		uint64_t limit =
			i + 1 < functions->count ? functions->all[i + 1].start : UINT64_MAX;

		require(functions->all[i].start < functions->all[i].end);
		require(functions->all[i].start <= limit);
		if (!function_read(cfi, &functions->all[i], limit, stretches))
			damaged++;
	}
	return damaged;
}

static void find_check(const struct unwind_table *table, uint64_t address,
		       const struct unwind_rule *rule)
{
	struct unwind_rule found;

	unwind_table_find(table, address, &found);
	require(!memcmp(&found, rule, sizeof(found)));
}

static void table_check(const struct unwind_table *table, const struct stretches *stretches)
{
	const struct unwind_rule unknown = {.cfa = UNWIND_UNKNOWN};

	for (size_t i = 0; i < stretches->count; i++) {
		const struct stretch *stretch = &stretches->all[i];
		bool is_last = i + 1 == stretches->count;
		uint64_t gap = is_last ? UINT64_MAX : stretch[1].start - stretch->end;

		find_check(table, stretch->start, &stretch->rule);
		find_check(table, stretch->start + (stretch->end - stretch->start) / 2,
			   &stretch->rule);
		find_check(table, stretch->end - 1, &stretch->rule);
		if (!i)
			find_check(table, stretch->start - 1, &unknown);
		if (is_last && !stretch->end)
			continue;
		if (gap >= PADDING)
			find_check(table, stretch->end, &unknown);
		else if (gap)
			find_check(table, stretch->end + gap - 1, &stretch->rule);
		if (gap >= PADDING && !is_last)
			find_check(table, stretch[1].start - 1, &unknown);
	}
}

/* What the kernel side relies on. */
static void form_check(const struct unwind_table *table)
{
	const uint32_t *words = (const uint32_t *)table->blocks, *pages = words + 4;
	uint32_t page_count = words[1];
	const uint32_t *rows = words + words[3];

	require(words[2] == 4 + page_count + 1 && words[3] == words[2] + 2 * table->rule_count);
	require(words[3] + table->row_count <= table->block_count * UNWIND_BLOCK_WORDS);
	require(pages[0] == 0 && pages[page_count] == table->row_count);
	require(table->row_count <= table->source_bytes + page_count);
	require(page_count <= 1024 + table->source_bytes);
	for (uint32_t i = 0; i < page_count; i++)
		for (uint32_t j = pages[i]; j < pages[i + 1]; j++)
			require((rows[j] & 0xffff) < table->rule_count &&
				(j == pages[i] ? rows[j] >> 16 == 0 : rows[j - 1] < rows[j]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stretches stretches = {.count = 0};
	struct cfi_functions functions;
	struct unwind_table table;
	struct cfi cfi;
	uint64_t damaged;
	int error;

	if (size < sizeof(cfi.address))
		return 0;
	memcpy(&cfi.address, data, sizeof(cfi.address));
	cfi.bytes = data + sizeof(cfi.address);
	cfi.size = size - sizeof(cfi.address);
	require(!cfi_list(&cfi, &functions));
	damaged = functions_read(&cfi, &functions, &stretches);
	error = unwind_table_make(cfi.bytes, cfi.size, cfi.address, &table);
	require(!error || error == -E2BIG);
	if (!error) {
		require(table.damaged == damaged);
		form_check(&table);
		table_check(&table, &stretches);
		unwind_table_free(&table);
	}
	free(functions.all);
	free(stretches.all);
	return 0;
}
