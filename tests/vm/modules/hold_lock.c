// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Holds a mutex of the kernel for a while, as a task that died with it does for ever: whoever wants it waits
 * uninterruptibly. Writing a number to the parameter hold_ms begins; `mutex` names the lock, which need not be
 * exported: module_mutex (/proc/modules, the loader), param_lock (the parameters of what is built in).
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>

static char *mutex = "module_mutex";
module_param(mutex, charp, 0644);

static struct mutex *held;
static bool busy;
static DECLARE_COMPLETION(released);

/* kallsyms_lookup_name() is not exported, but a kprobe tells where it is. */
static struct mutex *find(const char *name)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	unsigned long (*lookup)(const char *name);

	if (register_kprobe(&probe) < 0)
		return NULL;
	lookup = (void *)probe.addr;
	unregister_kprobe(&probe);
	return (struct mutex *)lookup(name);
}

static int hold(void *ms)
{
	mutex_lock(held);
	msleep((unsigned int)(unsigned long)ms);
	mutex_unlock(held);
	complete(&released);
	return 0;
}

static int hold_set(const char *value, const struct kernel_param *kp)
{
	struct task_struct *task;
	unsigned int ms;
	int error = kstrtouint(value, 0, &ms);

	if (error)
		return error;
	if (busy)
		wait_for_completion(&released);
	busy = false;
	held = find(mutex);
	if (!held)
		return -ENOENT;
	task = kthread_run(hold, (void *)(unsigned long)ms, "hold_lock");
	if (IS_ERR(task))
		return PTR_ERR(task);
	busy = true;
	return 0;
}
static const struct kernel_param_ops hold_ops = { .set = hold_set };
module_param_cb(hold_ms, &hold_ops, NULL, 0200);

static int __init hold_lock_init(void)
{
	return 0;
}

static void __exit hold_lock_exit(void)
{
	if (busy)
		wait_for_completion(&released);
}

module_init(hold_lock_init);
module_exit(hold_lock_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: holds a lock");
