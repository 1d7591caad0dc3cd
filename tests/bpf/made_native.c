/* SPDX-License-Identifier: BSD-2-Clause */
#include "made_native.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NO_ADDRESS 0x6b /* each byte of the stack: neither memory nor code is there */

void made_native_new(struct made_native *native, struct run *run)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *pages =
		mmap(NULL, (STACK_PAGES + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(native, 0, sizeof(*native));
	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + page, STACK_PAGES * page, PROT_READ | PROT_WRITE), 0);
	native->run = run;
	native->stack = (uint64_t)(pages + page);
	native->stack_end = native->stack + STACK_PAGES * page;
	native->table = malloc(sizeof(*native->table));
	assert_non_null(native->table);
	native->config.index = MADE_PROCESS;
	made_chunks_new(&native->chunks, run);
	made_native_reset(native);
}

void made_native_free(struct made_native *native)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	native->run->programs->bss->made_registers.made = 0;
	made_chunks_free(&native->chunks);
	munmap((void *)(native->stack - page), (STACK_PAGES + 2) * page);
	free(native->table);
}

void made_native_each(void **state, void (*check)(struct made_native *native))
{
	struct made_native native;

	made_native_new(&native, *state);
	check(&native);
	made_native_free(&native);
}

void made_native_reset(struct made_native *native)
{
	run_reset(native->run);
	native->function_count = 0;
	made_table_begin(native->table, FUNCTIONS_START >> UNWIND_PAGE_BITS, FUNCTION_PAGES);
	memset((void *)native->stack, NO_ADDRESS, native->stack_end - native->stack);
	memset(&native->at, 0, sizeof(native->at));
	native->at.made = 1;
	native->at.sp = native->stack + STACK_START;
	native->at.fp = native->stack + STACK_START + 0x800;
}

uint64_t made_function(struct made_native *native, struct unwind_rule rule)
{
	uint64_t address = FUNCTIONS_START + native->function_count++ * FUNCTION_BYTES;

	made_table_row(native->table, address, made_table_rule(native->table, rule));
	return address + MADE_BIAS;
}

void made_native_use(struct made_native *native)
{
	uint64_t bytes = (uint64_t)FUNCTION_PAGES << UNWIND_PAGE_BITS;
	const struct unwind_range range = {.start = FUNCTIONS_START + MADE_BIAS,
					   .end = FUNCTIONS_START + MADE_BIAS + bytes,
					   .bias = MADE_BIAS,
					   .file = MADE_FILE,
					   .chunk = CHUNK_TABLES,
					   .block = TABLE_BLOCK};

	/* What lies behind the last function is known to be no function. */
	made_function(native, (struct unwind_rule){.cfa = UNWIND_UNKNOWN});
	made_chunks_add_table(&native->chunks, TABLE_BLOCK, native->table);
	made_chunks_add_ranges(&native->chunks, LIST_BLOCK, &range, 1);
	native->space =
		(struct address_space){.ranges = {CHUNK_RANGES, LIST_BLOCK}, .range_count = 1};
	made_space_set(native->run, &native->space);
}

void made_native_walk(struct made_native *native)
{
	struct run *run = native->run;

	run->programs->bss->made_registers = native->at;
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(run->programs->maps.processes),
					     &run->programs->bss->subject_pid, &native->config,
					     BPF_ANY),
			 0);
	run_walk(run);
}

void made_native_run(struct made_native *native)
{
	made_native_use(native);
	made_native_walk(native);
}

uint64_t native_word(uint64_t address)
{
	return (address - MADE_BIAS) | (uint64_t)MADE_FILE << NATIVE_ADDRESS_BITS;
}

uint64_t native_caller_word(uint64_t address)
{
	return native_word(address + CALL_AT - 1);
}

const uint64_t *sample_words(const struct run *run)
{
	const struct sample_record *sample = run_sample(run);

	return (const uint64_t *)(sample->frames +
				  sample->python_count * sizeof(struct python_frame));
}

void expect_native(const struct run *run, uint32_t flags, uint32_t count, const uint64_t *words)
{
	const struct sample_record *sample = run_sample(run);
	const uint64_t *found = sample_words(run);
	uint32_t i;

	for (i = 0; i < count && i < sample->native_count; i++)
		if (found[i] != words[i])
			fail_msg("native frame %u is %lx, not %lx", i, (unsigned long)found[i],
				 (unsigned long)words[i]);
	assert_int_equal(sample->native_count, count);
	assert_int_equal(sample->flags, flags);
	assert_int_equal(sample->head.size,
			 offsetof(struct sample_record, frames) +
				 sample->python_count * sizeof(struct python_frame) +
				 count * sizeof(uint64_t));
}

void made_stack_word(uint64_t address, uint64_t value)
{
	made_word(address, 0, value);
}
