/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns what is known of files, so that each is read once however many processes map it: which have
 * no CPython, and where its parts lie in those that have one. Leaves reading one to image.h.
 *
 * A file is known by its device, inode, size and times of change as stat() has them, by what
 * /proc/PID/maps says of it (overlayfs and btrfs show other numbers there), and by the part that is
 * mapped. Files that changed within the last seconds, whose times may not tell the next change, and
 * those of FUSE, which may say what they like, are not remembered.
 */
#ifndef PYEBPF_PROGRAMS_H
#define PYEBPF_PROGRAMS_H

#include "python/image.h"
#include "target/maps.h"
#include "target/process.h"

struct programs;

enum program_kind {
	PROGRAM_OTHER,
	PROGRAM_PYTHON_STATIC, /* holds a CPython itself */
	PROGRAM_PYTHON_SHARED, /* is linked with libpython */
};

struct programs *programs_new(void); /* NULL: no memory */
void programs_free(struct programs *programs);

/*
 * What kind of program the file at `path` is (such as /proc/PID/exe), before it runs. OTHER can
 * still load a libpython later. `programs` may be NULL. Returns enum program_kind; -errno if the
 * file cannot be read.
 */
int programs_kind(struct programs *programs, const char *path);

/* Where what is known of a file lies, and how this process can open it. */
struct program_file {
	struct python_image *image; /* valid until the next call with the same programs */
	char path[PROCESS_PATH_SIZE + 32];
	bool remembered; /* it was not read now */
	struct python_image own;
};

/*
 * Stores what the file says that `mapping` of the process maps. `programs` may be NULL: then
 * nothing is remembered. Returns 0, or -errno when the file cannot be reached (-ESTALE: at its path
 * is another).
 */
int programs_image(struct programs *programs, const struct process *process,
		   const struct mapping *mapping, struct program_file *file);

/*
 * Reads the file anew after what was remembered of it proved wrong. Returns whether it says
 * something else now.
 */
bool programs_image_again(const struct mapping *mapping, struct program_file *file);

#endif
