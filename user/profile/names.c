/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the tables of names, made from the lists in include/. */
#include "profile/names.h"

#include <string.h>

#define NAME(identifier, name, unused) name,
static const char *const state_names[] = {STATE_LIST(NAME)};
static const char *const loss_names[] = {LOSS_LIST(NAME)};
#define TEXT(identifier, name, text) text,
static const char *const loss_texts[] = {LOSS_LIST(TEXT)};
#define CLASS(identifier, name, class) CLASS_##class,
static const enum state_class state_classes[] = {STATE_LIST(CLASS)};

static const char *const leaf_names[LEAF_COUNT] = {
	[LEAF_PYTHON] = "python",
	[LEAF_NATIVE] = "native",
	[LEAF_KERNEL] = "kernel",
	[LEAF_GC] = "gc",
};
static const char *const gc_source_names[GC_SOURCE_COUNT] = {
	[GC_UNKNOWN] = "",
	[GC_USDT] = "usdt",
	[GC_UPROBE] = "uprobe",
	[GC_SAMPLED] = "sampled",
};
static const char *const kind_names[KIND_COUNT] = {
	[KIND_PYTHON] = "python",
	[KIND_NATIVE] = "native",
	[KIND_KERNEL] = "kernel",
};
static const char *const column_names[COLUMN_COUNT] = {
	[COLUMN_CPU] = "cpu", [COLUMN_IO] = "io",     [COLUMN_LOCK] = "lock",
	[COLUMN_GIL] = "gil", [COLUMN_IDLE] = "idle", [COLUMN_OTHER] = "other",
};

const char *state_name(enum state state)
{
	return state_names[state];
}

const char *leaf_name(enum leaf leaf)
{
	return leaf_names[leaf];
}

const char *kind_name(enum function_kind kind)
{
	return kind_names[kind];
}

const char *column_name(enum column column)
{
	return column_names[column];
}

const char *gc_source_name(enum gc_source source)
{
	return gc_source_names[source];
}

const char *loss_name(enum loss loss)
{
	return loss_names[loss];
}

const char *loss_text(enum loss loss)
{
	return loss_texts[loss];
}

static int find(const char *const names[], int count, const char *name)
{
	int at;

	for (at = 0; at < count; at++)
		if (!strcmp(names[at], name))
			return at;
	return -1;
}

int state_find(const char *name)
{
	return find(state_names, STATE_COUNT, name);
}

int leaf_find(const char *name)
{
	return find(leaf_names, LEAF_COUNT, name);
}

int gc_source_find(const char *name)
{
	return find(gc_source_names, GC_SOURCE_COUNT, name);
}

int loss_find(const char *name)
{
	return find(loss_names, LOSS_COUNT, name);
}

enum column state_column(enum state state)
{
	static const enum column columns[CLASS_COUNT] = {
		[CLASS_CPU] = COLUMN_CPU,     [CLASS_IO] = COLUMN_IO,
		[CLASS_LOCK] = COLUMN_LOCK,   [CLASS_IDLE] = COLUMN_IDLE,
		[CLASS_OTHER] = COLUMN_OTHER,
	};

	return state == STATE_GIL ? COLUMN_GIL : columns[state_classes[state]];
}

void column_sums(const int64_t states[STATE_COUNT], int64_t columns[COLUMN_COUNT])
{
	int state;

	memset(columns, 0, COLUMN_COUNT * sizeof(*columns));
	for (state = 0; state < STATE_COUNT; state++)
		columns[state_column(state)] += states[state];
}

bool target_is_client(const char *target)
{
	return target[0] == ':';
}
