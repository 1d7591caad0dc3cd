/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what the parts of the reader of recordings share. pprof_read.c opens the file and says in
 * which order it is read; pprof_outline.c walks it a first time, for the strings and the comments;
 * pprof_places.c and pprof_samples.c read the messages that refer to these and to each other.
 */
#ifndef PYEBPF_PPROF_READER_H
#define PYEBPF_PPROF_READER_H

#include "error.h"
#include "profile/pprof.h"
#include "profile/profile.h"
#include "profile/table.h"

#define PART_BYTES_MAX ((size_t)1 << 20) /* of one sample, location, …: bounds protobuf-c */

/* Field numbers of message Profile in pprof.proto. */
enum {
	FIELD_SAMPLE_TYPE = 1,
	FIELD_SAMPLE = 2,
	FIELD_MAPPING = 3,
	FIELD_LOCATION = 4,
	FIELD_FUNCTION = 5,
	FIELD_STRING = 6,
	FIELD_TIME = 9,
	FIELD_DURATION = 10,
	FIELD_COMMENT = 13,
};

/* Bytes of a message that are still to be read. */
struct wire {
	const uint8_t *next;
	const uint8_t *end;
};

struct field {
	uint32_t number;
	uint32_t type;       /* of the wire */
	uint64_t value;      /* of a varint */
	const uint8_t *data; /* of bytes */
	size_t size;
};

/* An array that grows by one; see array_grow(). */
struct list {
	void *items;
	uint32_t count;
};

struct function_part {
	uint32_t name;
	uint32_t filename;
	int32_t start_line;
	uint8_t kind;    /* enum function_kind; KIND_COUNT: no location tells */
	uint32_t module; /* in the profile */
	uint32_t id;     /* in the profile */
};

struct mapping_part {
	bool kernel;
	uint32_t module; /* in the profile */
};

/* A recording while it is read. Ids of the file are indexes plus one. */
struct reader {
	struct wire file;
	struct error *error;
	struct profile *profile;
	struct list strings;   /* uint32_t: offset of a string's field in the file */
	struct list names;     /* uint32_t: id in the profile plus one, 0: not yet there */
	struct list comments;  /* int64_t: indexes into strings */
	struct list mappings;  /* struct mapping_part */
	struct list functions; /* struct function_part */
	struct list locations; /* uint32_t: id in the profile */
	struct list stack;     /* uint32_t: of the sample being read */
	struct table processes;
	struct list first_processes; /* uint32_t: by pid and command */
	uint32_t values;             /* sample types */
	int64_t sums[PPROF_VALUES]; /* of all samples; of values that can be negative, their size */
};

/*
 * Functions below return 0 or, with the reader's error set, -errno; out-parameters are then
 * untouched.
 */

/* Return -EINVAL and -ENOMEM. */
int reader_damaged(struct reader *reader, const char *what);
int reader_no_memory(struct reader *reader);

/* Reads all that everything else refers to by index, and the comments: facts and ledgers. */
int reader_outline(struct reader *reader);

/* Hands each field of a number to a function. */
int reader_parts(struct reader *reader, uint32_t number,
		 int (*read)(struct reader *reader, const struct field *field));

/* Adds an item of `size` bytes to a list. */
int reader_add(struct reader *reader, struct list *list, const void *item, size_t size);

/* Brings a string of the file into the profile, once. */
int reader_string(struct reader *reader, int64_t index, uint32_t *id);

/* Says whether a string of the file is `text`, without bringing it into the profile. */
int reader_string_is(struct reader *reader, int64_t index, const char *text, bool *same);

/* Reads the comments that need functions, which must have been read. */
int reader_repeats(struct reader *reader);

/* Reads mappings, functions and locations; the samples. */
int reader_places(struct reader *reader);
int reader_samples(struct reader *reader);

#endif
