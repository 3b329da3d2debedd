// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Ways to be stopped by the processor, by BUG() or by panic(). */
#include "crash.h"

#include <linux/bug.h>
#include <linux/sched.h>

/* The values come from memory that the compiler may not look through. */
static unsigned long bad_address;
static int zero;
static int depth_limit = INT_MAX;

static noinline void null_deref(void)
{
	*(volatile int *)READ_ONCE(bad_address) = 1;
}

static noinline void null_read(void)
{
	(void)*(volatile int *)(READ_ONCE(bad_address) + 0x38);
}

static noinline void page_fault(void)
{
	/* canonical, in the hole below the modules: nothing is ever mapped there */
	*(volatile int *)(0xffffffff7fff0000UL + READ_ONCE(bad_address)) = 1;
}

static noinline void gpf(void)
{
	*(volatile int *)(0xdead000000000100UL + READ_ONCE(bad_address)) = 1;
}

static noinline void divide(void)
{
	zero = 100 / READ_ONCE(zero);
}

static noinline void invalid_op(void)
{
	asm volatile("ud2");
}

static noinline void jump_null(void)
{
	void (*f)(void) = (void (*)(void))READ_ONCE(bad_address);

	f();
}

static noinline void exec_data(void)
{
	static u8 code[16] = { 0xc3 };	/* ret */
	void (*volatile f)(void) = (void (*)(void))code;

	f();
}

static const int read_only_word = 5;

static noinline void write_ro(void)
{
	*(volatile int *)&read_only_word = 6;
}

static noinline void bug(void)
{
	BUG();
}

static noinline void do_panic(void)
{
	panic("kmodmon test: panic asked for");
}

static noinline int recurse(int depth)
{
	volatile char fill[512];

	fill[depth & 511] = depth;
	if (depth >= READ_ONCE(depth_limit))
		return 0;
	return recurse(depth + 1) + fill[(depth + 1) & 511];
}

static noinline void stack_overflow(void)
{
	pr_info("recursion gave %d\n", recurse(0));
}

static noinline void stack_corrupt(void)
{
	volatile char small[8];
	int i;

	for (i = 0; i < 64 + READ_ONCE(zero); i++)
		small[i] = 0x5a;
}

const struct crash crash_traps[] = {
	{ "null_deref", null_deref },
	{ "null_read", null_read },
	{ "page_fault", page_fault },
	{ "gpf", gpf },
	{ "divide", divide },
	{ "invalid_op", invalid_op },
	{ "jump_null", jump_null },
	{ "exec_data", exec_data },
	{ "write_ro", write_ro },
	{ "bug", bug },
	{ "panic", do_panic },
	{ "stack_overflow", stack_overflow },
	{ "stack_corrupt", stack_corrupt },
	{ }
};
