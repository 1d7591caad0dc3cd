/* SPDX-License-Identifier: BSD-2-Clause */
/* Owns stacks as libdwfl unwinds them; see reference.h. */
#include "reference.h"

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reference {
	Dwfl *dwfl;
	const struct walker *walker;
	struct stack *stack; /* while one is taken */
	bool interrupted;    /* the next frame's address is not one that a call returns to */
	uint64_t addresses[NATIVE_FRAMES_MAX]; /* of the frames taken last */
};

/* Separate debug information is not looked for: what unwinds is in the files themselves. */
static int debuginfo_ignore(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			    const char *file, const char *link, GElf_Word crc, char **found)
{
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = debuginfo_ignore,
};

int reference_open(pid_t pid, const struct walker *walker, struct reference **reference)
{
	struct reference *opened = calloc(1, sizeof(*opened));

	if (!opened)
		return -ENOMEM;
	opened->walker = walker;
	opened->dwfl = dwfl_begin(&callbacks);
	if (!opened->dwfl || dwfl_linux_proc_report(opened->dwfl, pid) ||
	    dwfl_report_end(opened->dwfl, NULL, NULL) ||
	    dwfl_linux_proc_attach(opened->dwfl, pid, true)) {
		reference_close(opened);
		return -ESRCH;
	}
	*reference = opened;
	return 0;
}

void reference_close(struct reference *reference)
{
	if (!reference)
		return;
	if (reference->dwfl)
		dwfl_end(reference->dwfl);
	free(reference);
}

/* What there is of call frame information for an address. */
struct information {
	bool found;
	bool signal;    /* the frame is one that a signal has made */
	uint64_t start; /* address of the function */
};

static Dwarf_Frame *row_find(Dwarf_CFI *cfi, uint64_t address)
{
	Dwarf_Frame *row;

	return cfi && !dwarf_cfi_addrframe(cfi, address, &row) ? row : NULL;
}

static struct information information_find(Dwfl_Module *module, uint64_t address)
{
	struct information information = {0};
	Dwarf_Addr bias = 0, start, end;

	Dwarf_CFI *cfi = module ? dwfl_module_eh_cfi(module, &bias) : NULL;
	Dwarf_Frame *row = row_find(cfi, address - bias);

	if (!row) {
		cfi = module ? dwfl_module_dwarf_cfi(module, &bias) : NULL;
		row = row_find(cfi, address - bias);
	}
	if (!row)
		return information;
	dwarf_frame_info(row, &start, &end, &information.signal);
	free(row);
	information.found = true;
	information.start = start + bias;
	return information;
}

/* Whether a file has something at a virtual address. */
static bool file_holds(Elf *elf, uint64_t address)
{
	size_t count = 0;
	GElf_Phdr segment;

	elf_getphdrnum(elf, &count);
	for (int i = 0; i < (int)count; i++)
		if (gelf_getphdr(elf, i, &segment) && segment.p_type == PT_LOAD &&
		    address - segment.p_vaddr < segment.p_memsz)
			return true;
	return false;
}

/*
 * By libdwfl's own view of where files lie. It takes a file that is mapped twice for a single long
 * one: there it is the product's view.
 */
static uint64_t word_make(const struct reference *reference, Dwfl_Module *module, uint64_t address)
{
	const struct unwind_range *range = walker_find(reference->walker, address);
	GElf_Addr bias = 0;
	Elf *elf = module ? dwfl_module_getelf(module, &bias) : NULL;

	if (!range || !range->file || !elf)
		return address & NATIVE_ADDRESS_MASK;
	if (!file_holds(elf, address - bias))
		bias = range->bias;
	return ((address - bias) & NATIVE_ADDRESS_MASK) | (uint64_t)range->file
								  << NATIVE_ADDRESS_BITS;
}

static int frame_take(Dwfl_Frame *frame, void *context)
{
	struct reference *reference = context;
	struct stack *stack = reference->stack;
	uint32_t index = stack->count;
	struct information information;
	Dwfl_Module *module;
	Dwarf_Addr address;

	if (index == NATIVE_FRAMES_MAX || !dwfl_frame_pc(frame, &address, NULL))
		return DWARF_CB_ABORT;
	address -= !reference->interrupted;
	module = dwfl_addrmodule(reference->dwfl, address);
	information = information_find(module, address);
	reference->addresses[index] = address;
	reference->interrupted = information.signal;
	stack->words[index] = word_make(reference, module, address);
	if (information.found && stack->informed == index)
		stack->informed = index + 1;
	stack->count = index + 1;
	return DWARF_CB_OK;
}

int reference_take(struct reference *reference, pid_t tid, struct stack *stack)
{
	int result;

	stack->tid = tid;
	stack->count = stack->informed = 0;
	stack->loss = LOSS_COUNT;
	stack->reason[0] = '\0';
	reference->stack = stack;
	reference->interrupted = true; /* wherever the thread was stopped */
	result = dwfl_getthread_frames(reference->dwfl, tid, frame_take, reference);
	stack->whole = !result;
	if (result < 0)
		snprintf(stack->reason, sizeof(stack->reason), "%s", dwfl_errmsg(-1));
	else if (result)
		snprintf(stack->reason, sizeof(stack->reason), "more than %d frames",
			 NATIVE_FRAMES_MAX);
	return stack->count ? 0 : -ESRCH;
}

static const char *file_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

void reference_describe(const struct reference *reference, uint32_t frame, bool exact, char *text,
			size_t size)
{
	uint64_t address = reference->addresses[frame];
	Dwfl_Module *module = dwfl_addrmodule(reference->dwfl, address);
	struct information information = information_find(module, address);
	const char *file, *name;
	GElf_Off offset = 0;
	GElf_Addr bias = 0;
	GElf_Sym symbol;

	if (!module) {
		snprintf(text, size, "code in no file");
		return;
	}
	file = file_name(dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
	name = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);
	if (!name && dwfl_module_getelf(module, &bias)) {
		offset = information.found ? address - information.start : 0;
		snprintf(text, size, "%s at %#" PRIx64, file, address - offset - bias);
	} else {
		snprintf(text, size, "%s %s", file, name ? name : "");
	}
	if (exact)
		snprintf(text + strlen(text), size - strlen(text), "+%#" PRIx64, offset);
}
