/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Owns reading one ELF file: its symbols, segments, names, and how its addresses, its bytes' places
 * in the file and addresses in a process belong together. The file is not trusted. Leaves unwind
 * tables and the mapping list to others.
 *
 * Three kinds of numbers: a *virtual address* is what the file itself says (st_value, p_vaddr), an
 * *address* is where that lies in a process (virtual address + bias), an *offset* counts bytes of
 * the file.
 */
#ifndef PYEBPF_ELF_H
#define PYEBPF_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "target/maps.h"
#include "target/process.h"

#define ELF_BUILD_ID_MAX 64

struct elf_file {
	int fd;
	void *handle; /* Elf *, private to elf.c */
	char *path;   /* by which this process can open it again, say for a uprobe */
	uint64_t size;
};

struct elf_symbol {
	uint64_t value; /* virtual address */
	uint64_t size;
	unsigned char type; /* STT_* */
};

enum elf_tables { ELF_DYNAMIC_ONLY, ELF_ALL_SYMBOLS };

/*
 * Opens a file. On success *file owns a descriptor and memory, to be released by elf_file_close().
 * Errors: -ENOEXEC not a 64-bit ELF file of this machine's byte order, -EINVAL damaged, -ENOMEM,
 * other -errno of open().
 */
int elf_file_open(const char *path, struct elf_file *file);

/*
 * Opens the very file that a process has mapped, also when it was replaced or deleted, or lies in
 * another mount namespace: /proc/PID/map_files/…, else (that needs CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE) /proc/PID/exe or /proc/PID/root/… if they are the same inode. Errors as
 * above; -ESTALE: the file at that path is another one.
 */
int elf_file_open_mapping(const struct process *process, const struct mapping *mapping,
			  struct elf_file *file);

/*
 * Writes the path by which elf_file_open_mapping() opens a file, and its stat(), without opening
 * it. Returns 0, -ESTALE as above, or -errno.
 */
int mapping_file_path(const struct process *process, const struct mapping *mapping, char *path,
		      size_t size, struct stat *status);

/* Releases what elf_file_open() and elf_file_open_mapping() got. A zeroed struct is left alone. */
void elf_file_close(struct elf_file *file);

/*
 * Finds a defined symbol by name: in .dynsym, then, if asked, in .symtab. Returns 0, -ENOENT, or
 * -EINVAL for a damaged table.
 */
int elf_symbol_find(const struct elf_file *file, const char *name, enum elf_tables tables,
		    struct elf_symbol *symbol);

/*
 * Finds a section's place by name: its virtual address, offset and size (any may be NULL). Returns
 * 0, -ENOENT or -EINVAL.
 */
int elf_section_find(const struct elf_file *file, const char *name, uint64_t *value,
		     uint64_t *offset, uint64_t *size);

/* Copies DT_SONAME. Returns 0, -ENOENT, -EINVAL, or -ENOSPC when it is longer than the buffer. */
int elf_soname(const struct elf_file *file, char *buffer, size_t size);

/* Whether a library is needed (DT_NEEDED) whose name begins with `start`. */
bool elf_needs(const struct elf_file *file, const char *start);

/* Copies the build-id, at most ELF_BUILD_ID_MAX bytes. Returns its length, -ENOENT or -EINVAL. */
int elf_build_id(const struct elf_file *file, uint8_t buffer[ELF_BUILD_ID_MAX]);

/*
 * What to add (modulo 2^64) to a virtual address to get the address in the process that has
 * `mapping`. Returns 0, or -ENOENT when no segment is loaded from there.
 */
int elf_load_bias(const struct elf_file *file, const struct mapping *mapping, uint64_t *bias);

/* Virtual address to offset and back, through PT_LOAD. Return 0 or -ENOENT. */
int elf_offset_of(const struct elf_file *file, uint64_t value, uint64_t *offset);
int elf_value_of(const struct elf_file *file, uint64_t offset, uint64_t *value);

/* Reads `size` bytes of the file at `offset`. Returns 0, -EINVAL past its end, or -errno. */
int elf_read(const struct elf_file *file, uint64_t offset, void *buffer, size_t size);

#endif
