// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Warnings and complaints that stop nobody; and one who tries to look like them. */
#include "crash.h"

#include <linux/bug.h>
#include <linux/device.h>
#include <linux/kobject.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>

static int yes = 1;

static noinline void warn(void)
{
	WARN(READ_ONCE(yes), "kmodmon test: something is odd, %d of %s\n", 42, "many");
}

static noinline void warn_on(void)
{
	WARN_ON(READ_ONCE(yes));
}

static noinline void warn_taint(void)
{
	WARN_TAINT(READ_ONCE(yes), TAINT_FIRMWARE_WORKAROUND, "kmodmon test: [Firmware Bug] pretended\n");
}

static noinline void dump(void)
{
	pr_err("kmodmon test: a trace follows that is no report\n");
	dump_stack();
}

static noinline void sysfs_duplicate(void)
{
	struct kobject *first = kobject_create_and_add("crash_mod_twice", kernel_kobj);
	struct kobject *second = kobject_create_and_add("crash_mod_twice", kernel_kobj);

	kobject_put(second);
	kobject_put(first);
}

static noinline void proc_duplicate(void)
{
	proc_mkdir("crash_mod_twice", NULL);
	proc_mkdir("crash_mod_twice", NULL);
	remove_proc_entry("crash_mod_twice", NULL);
}

static noinline void levels(void)
{
	/* one record of each level, and continued and many-lined ones */
	pr_emerg("level 0\n");
	pr_alert("level 1\n");
	pr_crit("level 2\n");
	pr_err("level 3\n");
	pr_warn("level 4\n");
	pr_notice("level 5\n");
	pr_info("level 6\n");
	printk(KERN_DEBUG "crash_mod: level 7\n");
	pr_info("begun,");
	pr_cont(" continued,");
	pr_cont(" ended\n");
	pr_info("first line\nsecond line\nthird line\n");
	pr_info("bytes: \x01\x1b[31m \xff caf\xc3\xa9 back\\slash\ttab\n");
	pr_info("%s\n", "");
}

static noinline void forged(void)
{
	/* text of a report inside another line: no report may be seen here */
	pr_info("a name: [BUG: unable to handle kernel NULL pointer dereference at 0]\n");
	pr_info("user said: Kernel panic - not syncing: no\n");
	pr_info("WARNING: CPU: 0 PID: 1 at forged.c:1 forged+0x1/0x2\n");
}

const struct crash crash_checks[] = {
	{ "warn", warn },
	{ "warn_on", warn_on },
	{ "warn_taint", warn_taint },
	{ "dump", dump },
	{ "sysfs_duplicate", sysfs_duplicate },
	{ "proc_duplicate", proc_duplicate },
	{ "levels", levels },
	{ "forged", forged },
	{ }
};
