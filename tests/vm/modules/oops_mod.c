// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A NULL dereference in a kernel thread of its own (where=1, the default) or in init (where=2),
// or later in the thread of whoever writes 1 to "now".  Needs panic_on_oops=0 to leave the machine alive.
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>
#include <linux/kthread.h>
#include <linux/delay.h>
static int where = 1;
module_param(where, int, 0444);
static noinline void oops_here(void) { volatile int *p = READ_ONCE(where) ? NULL : (int *)&where; *p = 1; }
static int oops_thread(void *unused) { msleep(100); oops_here(); return 0; }
static int now_set(const char *val, const struct kernel_param *kp) { oops_here(); return 0; }
static const struct kernel_param_ops now_ops = { .set = now_set };
module_param_cb(now, &now_ops, NULL, 0200);
static int __init oopsmod_init(void)
{
	if (where == 2)
		oops_here();
	else if (where == 1)
		kthread_run(oops_thread, NULL, "oops_mod");
	return 0;
}
static void __exit oopsmod_exit(void) { }
module_init(oopsmod_init);
module_exit(oopsmod_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: oopses");
