/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* crash_mod: what its files share.  Each file offers a table of named ways to go wrong. */
#ifndef KMODMON_CRASH_H
#define KMODMON_CRASH_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/version.h>

struct crash {
	const char *kind;
	void (*run)(void);
};

extern const struct crash crash_traps[];	/* the processor or BUG() stops the task */
extern const struct crash crash_stalls[];	/* something does not go on */
extern const struct crash crash_memory[];	/* a check of memory, lists or counters speaks */
extern const struct crash crash_checks[];	/* other warnings and complaints */

extern int crash_seconds;			/* how long a stall lasts */

#endif
