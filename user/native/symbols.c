/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns which function holds an address and which of its names is shown. The functions lie in one
 * array by address; names are demangled when they are first asked for.
 *
 * Functions can lie in one another (parts of assembly that have a name of their own, damaged
 * tables), so each knows the next one outwards: what an address belongs to is found by going
 * outwards from the last function that starts at or before it.
 */
#include "native/symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "native/debug_file.h"
#include "native/demangle.h"
#include "native/name.h"
#include "native/symbol_table.h"

#define OUTWARDS_MAX 64 /* functions around one another, in a file that is not damaged */
#define PATIENCE     16 /* names of one file whose demangling may take too long */

struct symbols {
	struct symbol_table table; /* all[i].around: 1 + the index of the function around, or 0 */
	char **shown; /* names that were asked for; all[i].shown: 1 + its index, or 0 */
	size_t shown_count;
	size_t shown_capacity;
	unsigned int patience;
};

static uint64_t function_end(const struct function *function)
{
	return function->start + function->size;
}

/*
 * Length of a name as it is kept: without the version of a symbol (`memcpy@@GLIBC_2.14`, as .symtab
 * has it), and not much longer than what is shown.
 */
static size_t name_length(const char *name)
{
	size_t length = strnlen(name, NAME_BYTES_MAX + 4);
	const char *version = memchr(name, '@', length);

	return version && version > name ? (size_t)(version - name) : length;
}

static int compare_names(const char *one, const char *other)
{
	size_t first = name_length(one), second = name_length(other);

	return first != second ? (first < second ? -1 : 1) : memcmp(one, other, first);
}

/* By address; of those at one address what lies inside comes last, of equal ones the best first. */
static int compare_functions(const void *one, const void *other, void *context)
{
	const struct function *left = one, *right = other;
	const char *names = context;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	if ((left->flaws ^ right->flaws) & SYMBOL_SIZELESS)
		return left->flaws & SYMBOL_SIZELESS ? 1 : -1;
	if (left->size != right->size)
		return left->size > right->size ? -1 : 1;
	if (left->flaws != right->flaws)
		return left->flaws < right->flaws ? -1 : 1;
	return left->name == right->name ? 0
					 : compare_names(names + left->name, names + right->name);
}

/*
 * Whether a function is left out, given those before it: it has the place of the last one, or it
 * is a label in the midst of a function whose end is known.
 */
static bool is_superfluous(const struct function *function, const struct function *last,
			   uint64_t known_end)
{
	if (!last)
		return false;
	if (function->flaws & SYMBOL_SIZELESS)
		return function->start < known_end || function->start == last->start;
	return function->start == last->start && function->size == last->size &&
	       !(last->flaws & SYMBOL_SIZELESS);
}

/* Keeps one function for each place and ends those without a size where the next one starts. */
static void functions_choose(struct symbol_table *table)
{
	uint64_t known_end = 0;
	size_t kept = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct function *function = &table->all[i];
		struct function *last = kept ? &table->all[kept - 1] : NULL;

		if (is_superfluous(function, last, known_end))
			continue;
		if (last && last->flaws & SYMBOL_SIZELESS && function_end(last) > function->start)
			last->size = (uint32_t)(function->start - last->start);
		if (!(function->flaws & SYMBOL_SIZELESS) && function_end(function) > known_end)
			known_end = function_end(function);
		table->all[kept++] = *function;
	}
	table->count = kept;
}

static void functions_nest(struct symbol_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		uint32_t around = (uint32_t)i;

		while (around && function_end(&table->all[around - 1]) <= table->all[i].start)
			around = table->all[around - 1].around;
		table->all[i].around = around;
	}
}

/* Keeps the names of these functions alone, unless names that share their ends are smaller so. */
static int names_shrink(struct symbol_table *table)
{
	size_t size = 0;
	char *names, *end;

	for (size_t i = 0; i < table->count; i++)
		size += name_length(table->names + table->all[i].name) + 1;
	if (size >= table->names_size)
		return 0;
	names = malloc(size ? size : 1);
	if (!names)
		return -ENOMEM;
	end = names;
	for (size_t i = 0; i < table->count; i++) {
		const char *name = table->names + table->all[i].name;

		table->all[i].name = (uint32_t)(end - names);
		end = mempcpy(end, name, name_length(name));
		*end++ = '\0';
	}
	free(table->names);
	table->names = names;
	table->names_size = size;
	return 0;
}

/* Makes what was read fit for finding, and no larger than it must be. */
static int table_prepare(struct symbol_table *table)
{
	struct function *smaller;
	int error;

	if (!table->count)
		return 0;
	qsort_r(table->all, table->count, sizeof(*table->all), compare_functions, table->names);
	functions_choose(table);
	functions_nest(table);
	error = names_shrink(table);
	smaller = realloc(table->all, table->count * sizeof(*table->all));
	if (smaller) {
		table->all = smaller;
		table->capacity = table->count;
	}
	return error;
}

/* Adds what other files know of this one; that they are damaged is no damage to it. */
static int table_add_more(struct symbol_table *table, const struct elf_file *file,
			  const char *const debug_roots[])
{
	struct elf_file more;
	int error = debug_file_open(file, debug_roots, &more);

	if (error)
		error = debug_file_unpack(file, &more);
	if (error)
		return error == -ENOMEM ? error : 0;
	error = symbol_table_add(table, &more);
	elf_file_close(&more);
	return error == -ENOMEM ? error : 0;
}

int symbols_read(const struct elf_file *file, const char *const debug_roots[],
		 struct symbols **symbols)
{
	struct symbols *read = calloc(1, sizeof(*read));
	int error, other;

	if (!read)
		return -ENOMEM;
	read->patience = PATIENCE;
	error = symbol_table_add(&read->table, file);
	if (error != -ENOMEM) {
		other = table_add_more(&read->table, file, debug_roots);
		error = other || read->table.count ? other : error;
	}
	if (!error)
		error = table_prepare(&read->table);
	if (error)
		symbols_free(read);
	else
		*symbols = read;
	return error;
}

void symbols_free(struct symbols *symbols)
{
	if (!symbols)
		return;
	for (size_t i = 0; i < symbols->shown_count; i++)
		free(symbols->shown[i]);
	free(symbols->shown);
	free(symbols->table.all);
	free(symbols->table.names);
	free(symbols);
}

static struct function *function_find(const struct symbol_table *table, uint64_t address)
{
	size_t low = 0, high = table->count;
	uint32_t at;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->all[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	at = (uint32_t)low;
	for (int i = 0; at && i < OUTWARDS_MAX; i++, at = table->all[at - 1].around)
		if (address < function_end(&table->all[at - 1]))
			return &table->all[at - 1];
	return NULL;
}

/* Demangles the name of a function and keeps it. */
static int function_show(struct symbols *symbols, struct function *function)
{
	const char *name = symbols->table.names + function->name;
	char *copy, *shown;

	if (symbols->shown_count == symbols->shown_capacity) {
		size_t capacity = symbols->shown_capacity ? symbols->shown_capacity * 2 : 64;
		char **grown = realloc(symbols->shown, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		symbols->shown = grown;
		symbols->shown_capacity = capacity;
	}
	copy = strndup(name, name_length(name));
	shown = copy ? demangle(copy, &symbols->patience) : NULL;
	free(copy);
	if (!shown)
		return -ENOMEM;
	symbols->shown[symbols->shown_count++] = shown;
	function->shown = (uint32_t)symbols->shown_count;
	return 0;
}

int symbols_find(struct symbols *symbols, uint64_t address, struct symbol_place *place)
{
	struct function *function = function_find(&symbols->table, address);

	if (!function)
		return -ENOENT;
	if (!function->shown && function_show(symbols, function))
		return -ENOMEM;
	*place = (struct symbol_place){.name = symbols->shown[function->shown - 1],
				       .start = function->start,
				       .end = function_end(function)};
	return 0;
}

size_t symbols_count(const struct symbols *symbols)
{
	return symbols->table.count;
}

char *symbol_demangle(const char *name)
{
	unsigned int patience = 1;

	return demangle(name, &patience);
}
