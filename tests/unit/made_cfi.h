/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns the building of .eh_frame sections by hand, for the tests of what reads them. */
#ifndef PYEBPF_MADE_CFI_H
#define PYEBPF_MADE_CFI_H

#include <dwarf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "native/cfi.h"

#define MADE_ADDRESS   0x100000 /* virtual address of the section */
#define MADE_FACTOR_AT 12       /* where made_usual_common() puts the factor of code addresses, */
#define MADE_COLUMN_AT 14       /* and the number of the return address */

struct made_cfi {
	uint8_t bytes[1 << 19];
	size_t size;
	size_t common; /* offset of the CIE of the functions that follow */
	size_t entry;  /* offset of the entry added last */
};

/* Bytes in place of a pointer and a size: MADE(DW_CFA_nop, DW_CFA_nop). */
#define MADE(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

__attribute__((unused)) static struct cfi made_section(const struct made_cfi *made)
{
	return (struct cfi){.bytes = made->bytes, .size = made->size, .address = MADE_ADDRESS};
}

__attribute__((unused)) static void made_bytes(struct made_cfi *made, const void *bytes,
					       size_t size)
{
	if (size > sizeof(made->bytes) - made->size)
		abort();
	memcpy(made->bytes + made->size, bytes, size);
	made->size += size;
}

__attribute__((unused)) static void made_number(struct made_cfi *made, uint64_t number, size_t size)
{
	made_bytes(made, &number, size);
}

__attribute__((unused)) static void made_begin(struct made_cfi *made, uint32_t id)
{
	made->entry = made->size;
	made_number(made, 0, 4); /* the length */
	made_number(made, id, 4);
}

__attribute__((unused)) static void made_end(struct made_cfi *made)
{
	uint32_t length = (uint32_t)(made->size - made->entry - 4);

	memcpy(made->bytes + made->entry, &length, sizeof(length));
}

/*
 * A CIE: `augmentation` and its data (without their length), then instructions beside the usual
 * ones, by which the return address is at CFA - 8 and CFA = rsp + 8. Factors are 1 and -8.
 */
__attribute__((unused)) static void made_common(struct made_cfi *made, uint8_t version,
						const char *augmentation, const uint8_t *data,
						size_t data_size, const uint8_t *code, size_t size)
{
	const uint8_t usual[] = {DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1};

	made_begin(made, 0);
	made->common = made->entry;
	made_number(made, version, 1);
	made_bytes(made, augmentation, strlen(augmentation) + 1);
	made_number(made, 1, 1);
	made_number(made, 0x78, 1);
	made_number(made, 16, 1);
	if (*augmentation == 'z') {
		made_number(made, data_size, 1);
		made_bytes(made, data, data_size);
	}
	made_bytes(made, usual, sizeof(usual));
	made_bytes(made, code, size);
	made_end(made);
}

/* The CIE that most compilers write: addresses are 4 bytes, relative to their own place. */
__attribute__((unused)) static void made_usual_common(struct made_cfi *made)
{
	made_common(made, 1, "zR", MADE(DW_EH_PE_pcrel | DW_EH_PE_sdata4), MADE(DW_CFA_nop));
}

/* An FDE of that CIE. */
__attribute__((unused)) static void made_function(struct made_cfi *made, uint64_t start,
						  uint32_t length, const uint8_t *code, size_t size)
{
	made_begin(made, (uint32_t)(made->size + 4 - made->common));
	made_number(made, start - (MADE_ADDRESS + made->size), 4);
	made_number(made, length, 4);
	made_number(made, 0, 1); /* length of its augmentation data */
	made_bytes(made, code, size);
	made_end(made);
}

#endif
