/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that walks over native frames begin with the registers that a thread had in user mode. */
#include "made_native.h"

#include <linux/bpf.h>
#include <sys/syscall.h>

/* Runs a program by a system call with known values in its registers, and sets *sp to the pointer. */
static long registers_run(int program, const uint64_t marks[16], uint64_t *sp)
{
	union bpf_attr attribute = {.test = {.prog_fd = (uint32_t)program}};
	register uint64_t r8 __asm__("r8") = marks[8];
	register uint64_t r9 __asm__("r9") = (uint64_t)sp;
	register uint64_t r10 __asm__("r10") = marks[10];
	register uint64_t r12 __asm__("r12") = marks[12];
	register uint64_t r13 __asm__("r13") = marks[13];
	register uint64_t r14 __asm__("r14") = marks[14];
	register uint64_t r15 __asm__("r15") = marks[15];
	long result;

	/* The stack pointer passes over what the compiler may keep below it (System V ABI, 3.2.2). */
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "push %%rbp\n\t"
			 "mov %%r12, %%rbp\n\t"
			 "mov %%rsp, (%%r9)\n\t"
			 "syscall\n\t"
			 "pop %%rbp\n\t"
			 "lea 128(%%rsp), %%rsp"
			 : "=a"(result)
			 : "a"(SYS_bpf), "b"(marks[3]), "D"(BPF_PROG_TEST_RUN), "S"(&attribute),
			   "d"(sizeof(attribute)), "r"(r8), "r"(r9), "r"(r10), "r"(r12), "r"(r13),
			   "r"(r14), "r"(r15)
			 : "rcx", "r11", "memory");
	return result;
}

/* Registers are those that the thread had in user mode. */
static void test_registers(void **state)
{
	struct run *run = *state;
	struct made_registers *seen = &run->programs->bss->made_registers;
	uint64_t marks[16], sp;
	uint32_t i;

	if (run->viewpoint != VIEW_OWN)
		return;
	for (i = 0; i < 16; i++)
		marks[i] = 0x1234567800000000 + i;
	assert_int_equal(
		registers_run(bpf_program__fd(run->programs->progs.show_registers), marks, &sp), 0);
	assert_int_equal(seen->sp, sp);
	assert_int_equal(seen->fp, marks[12]);
	assert_int_equal(seen->numbered[3], marks[3]);
	assert_int_equal(seen->numbered[5], BPF_PROG_TEST_RUN);
	assert_int_equal(seen->numbered[1], sizeof(union bpf_attr));
	assert_int_equal(seen->numbered[8], marks[8]);
	assert_int_equal(seen->numbered[9], (uint64_t)&sp);
	for (i = 10; i < 16; i++)
		if (i != 11)
			assert_int_equal(seen->numbered[i], marks[i]);
	/* The instruction `syscall` keeps the address behind itself in rcx. */
	assert_int_equal(seen->numbered[2], seen->ip);
	assert_memory_equal((const void *)(seen->ip - 2), "\x0f\x05", 2);
	/* Neither pointer has a number: they have rules of their own. */
	assert_int_equal(seen->numbered[6], 0);
	assert_int_equal(seen->numbered[7], 0);
	assert_int_equal(seen->numbered[16], 0);
}

/* A walk of the real thread begins where it came into the kernel, which it does to take a sample. */
static void check_real(struct made_native *native)
{
	const struct unwind_range all = {.end = 1ULL << 47, .file = MADE_FILE};
	uint64_t word;

	made_native_use(native);
	made_chunks_add_ranges(&native->chunks, LIST_BLOCK, &all, 1);
	native->at.made = 0;
	made_native_walk(native);
	assert_int_equal(run_sample(native->run)->native_count, 1);
	word = sample_words(native->run)[0];
	assert_int_equal(word >> NATIVE_ADDRESS_BITS, MADE_FILE);
	assert_memory_equal((const void *)((word & NATIVE_ADDRESS_MASK) - 2), "\x0f\x05", 2);
	run_expect_losses(native->run, LOSS_NATIVE_PENDING, 1, -1);
}

static void test_real(void **state)
{
	made_native_each(state, check_real);
}

#define TESTS cmocka_unit_test(test_registers), cmocka_unit_test(test_real)

int main(void)
{
	const struct CMUnitTest tests[] = {TESTS};
	int failed = cmocka_run_group_tests_name("registers of the thread itself", tests,
						 run_set_up_own, run_tear_down);

	return failed + cmocka_run_group_tests_name("registers of another thread", tests,
						    run_set_up_other, run_tear_down);
}
