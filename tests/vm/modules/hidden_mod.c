// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * A test fixture for cross-view checks, for throw-away guests only.  It does nothing but step out of
 * the views that a check compares, loudly (it says so in the log), and steps back in by itself after
 * "seconds", so that it can be removed in the ordinary way.  mode is a bit mask:
 *   1  out of the module list   (/proc/modules, /proc/kallsyms)
 *   2  deleted from sysfs       (/sys/module/hidden_mod; "remove" uevent; only an empty directory comes back, so
 *      rmmod no longer works on it: remove it by the system call, which then warns; best throw the guest away)
 *   4  moved out of /sys/module (to /sys/kernel/hidden_mod; "move" uevent; comes back whole)
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/workqueue.h>
static int mode = 3;
module_param(mode, int, 0444);
static int seconds = 20;
module_param(seconds, int, 0444);
static struct list_head *prev;
static struct kobject *parent;
static bool moved;

static void show(struct work_struct *w)
{
	struct module *m = THIS_MODULE;
	if (prev)
		list_add(&m->list, prev);
	prev = NULL;
	if (moved) {
		if (kobject_move(&m->mkobj.kobj, parent))
			pr_warn("could not come back to /sys/module\n");
		kobject_put(parent);
		parent = NULL;
		moved = false;
	}
	if (parent) {
		/* only the directory comes back: its attribute files were deleted with it */
		if (kobject_add(&m->mkobj.kobj, parent, "%s", m->name))
			pr_warn("could not come back to sysfs\n");
		kobject_put(parent);
		parent = NULL;
	}
	pr_info("visible again\n");
}
static DECLARE_DELAYED_WORK(show_work, show);
static void hide(struct work_struct *w)
{
	struct module *m = THIS_MODULE;
	pr_info("hiding for %d s, mode %d (test fixture)\n", seconds, mode);
	if (mode & 2) {
		parent = kobject_get(m->mkobj.kobj.parent);
		kobject_uevent(&m->mkobj.kobj, KOBJ_REMOVE);
		kobject_del(&m->mkobj.kobj);
	} else if (mode & 4) {
		parent = kobject_get(m->mkobj.kobj.parent);
		moved = !kobject_move(&m->mkobj.kobj, kernel_kobj);
	}
	if (mode & 1) {
		prev = m->list.prev;
		list_del(&m->list);
	}
	schedule_delayed_work(&show_work, seconds * HZ);
}
/* a little later than init: the loader still works on the sysfs tree while init runs */
static DECLARE_DELAYED_WORK(hide_work, hide);
static int __init hidden_init(void) { schedule_delayed_work(&hide_work, HZ); return 0; }
static void __exit hidden_exit(void)
{
	cancel_delayed_work_sync(&hide_work);
	cancel_delayed_work_sync(&show_work);
}
module_init(hidden_init);
module_exit(hidden_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: steps out of /proc/modules and sysfs for a while");
