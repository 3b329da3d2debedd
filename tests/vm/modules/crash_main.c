// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * crash_mod: makes the kernel say what it says when something breaks; for throw-away guests only.
 *   insmod crash_mod.ko kind=null_deref [context=thread|init|timer] [seconds=N]
 *   insmod crash_mod.ko; echo null_deref >/sys/module/crash_mod/parameters/trigger     (the writer runs it)
 * An unknown kind is EINVAL; /sys/module/crash_mod/parameters/trigger lists the kinds when read.
 */
#include "crash.h"

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/timer.h>

static char *kind = "";
module_param(kind, charp, 0444);
static char *context = "thread";
module_param(context, charp, 0444);
int crash_seconds = 10;
module_param_named(seconds, crash_seconds, int, 0644);

static const struct crash *const tables[] = { crash_traps, crash_stalls, crash_memory, crash_checks };
static const struct crash *chosen;

static const struct crash *find(const char *name)
{
	const struct crash *c;
	int i;

	for (i = 0; i < ARRAY_SIZE(tables); i++)
		for (c = tables[i]; c->kind; c++)
			if (sysfs_streq(name, c->kind))
				return c;
	return NULL;
}

static int trigger_set(const char *val, const struct kernel_param *kp)
{
	const struct crash *c = find(val);

	if (!c)
		return -EINVAL;
	c->run();
	return 0;
}

static int trigger_get(char *buffer, const struct kernel_param *kp)
{
	const struct crash *c;
	int i, n = 0;

	for (i = 0; i < ARRAY_SIZE(tables); i++)
		for (c = tables[i]; c->kind; c++)
			n += scnprintf(buffer + n, PAGE_SIZE - n, "%s\n", c->kind);
	return n;
}

static const struct kernel_param_ops trigger_ops = { .set = trigger_set, .get = trigger_get };
module_param_cb(trigger, &trigger_ops, NULL, 0600);

static int thread(void *unused)
{
	msleep(100);	/* let insmod end first, so that the module is live when it happens */
	chosen->run();
	return 0;
}

static void tick(struct timer_list *unused)
{
	chosen->run();
}
static DEFINE_TIMER(timer, tick);

static int __init crash_init(void)
{
	struct task_struct *task;

	if (!*kind)
		return 0;
	chosen = find(kind);
	if (!chosen)
		return -EINVAL;
	if (!strcmp(context, "init")) {
		chosen->run();
		return 0;
	}
	if (!strcmp(context, "timer")) {
		mod_timer(&timer, jiffies + HZ / 10);
		return 0;
	}
	task = kthread_create(thread, NULL, "crash_mod");
	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, num_online_cpus() - 1);
	wake_up_process(task);
	return 0;
}

static void __exit crash_exit(void)
{
}

module_init(crash_init);
module_exit(crash_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: breaks on request");
