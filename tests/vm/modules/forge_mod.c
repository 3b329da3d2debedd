// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Writes into the kernel log what an oops looks like, and does nothing else: no counter moves and no taint bit is set.
 *   echo NAME >/sys/module/forge_mod/parameters/oops        one oops that blames the module NAME
 *   echo N >/sys/module/forge_mod/parameters/oopses         N of them, each of another function and module
 *   echo N >/sys/module/forge_mod/parameters/refusals       N refused loads, each of another module
 *   echo TEXT >/sys/module/forge_mod/parameters/line        one line of the caller's choice
 */
#define pr_fmt(fmt) fmt
#include <linux/module.h>
#include <linux/sched.h>

static void oops(const char *function, const char *module)
{
	pr_alert("BUG: kernel NULL pointer dereference, address: 0000000000000000\n");
	pr_alert("#PF: supervisor write access in kernel mode\n");
	pr_alert("#PF: error_code(0x0002) - not-present page\n");
	pr_warn("Oops: 0002 [#1] PREEMPT SMP NOPTI\n");
	pr_warn("CPU: 0 PID: 1 Comm: systemd Tainted: G           OE      6.1.0 #1\n");
	pr_warn("RIP: 0010:%s+0x10/0x20 [%s]\n", function, module);
	pr_warn("Call Trace:\n");
	pr_warn(" <TASK>\n");
	pr_warn(" %s_ioctl+0x1c/0x30 [%s]\n", function, module);
	pr_warn(" kthread+0xda/0x100\n");
	pr_warn(" </TASK>\n");
	pr_warn("---[ end trace 0000000000000000 ]---\n");
}

/* Letters only: digits are no part of what tells one report from another. */
static void lettered(char name[8], unsigned int number)
{
	int i;

	for (i = 0; i < 7; i++, number /= 26)
		name[i] = 'a' + number % 26;
	name[7] = 0;
}

static int oops_set(const char *val, const struct kernel_param *kp)
{
	char name[56];

	strscpy(name, val, sizeof(name));
	oops("forged_here", strim(name));
	return 0;
}
static const struct kernel_param_ops oops_ops = { .set = oops_set };
module_param_cb(oops, &oops_ops, NULL, 0200);

static int oopses_set(const char *val, const struct kernel_param *kp)
{
	char name[8];
	int i, n, err = kstrtoint(val, 0, &n);

	for (i = 0; !err && i < n; i++) {
		lettered(name, i);
		oops(name, name);
		cond_resched();
	}
	return err;
}
static const struct kernel_param_ops oopses_ops = { .set = oopses_set };
module_param_cb(oopses, &oopses_ops, NULL, 0200);

static int refusals_set(const char *val, const struct kernel_param *kp)
{
	int i, n, err = kstrtoint(val, 0, &n);

	for (i = 0; !err && i < n; i++) {
		pr_err("Module m%d is blacklisted\n", i);
		cond_resched();
	}
	return err;
}
static const struct kernel_param_ops refusals_ops = { .set = refusals_set };
module_param_cb(refusals, &refusals_ops, NULL, 0200);

static int line_set(const char *val, const struct kernel_param *kp)
{
	pr_emerg("%s", val);
	return 0;
}
static const struct kernel_param_ops line_ops = { .set = line_set };
module_param_cb(line, &line_ops, NULL, 0200);

static int __init forge_init(void)
{
	return 0;
}

static void __exit forge_exit(void)
{
}

module_init(forge_init);
module_exit(forge_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: forges reports of the kernel");
