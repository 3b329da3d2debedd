// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Ways not to go on, each for "seconds"; the watchdogs' thresholds are the caller's to lower. */
#include "crash.h"

#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/netdevice.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

static void spin(void)
{
	/* by the clock: mdelay() counts loops, and under emulation it miscounts them */
	ktime_t end = ktime_add_ms(ktime_get(), crash_seconds * 1000);

	while (ktime_before(ktime_get(), end))
		cpu_relax();
}

static noinline void soft_lockup(void)
{
	preempt_disable();
	spin();
	preempt_enable();
}

static noinline void hard_lockup(void)
{
	unsigned long flags;

	local_irq_save(flags);
	spin();
	local_irq_restore(flags);
}

static noinline void rcu_stall(void)
{
	rcu_read_lock();
	spin();
	rcu_read_unlock();
}

static noinline void hung_task(void)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule_timeout(crash_seconds * HZ);
}

static DEFINE_MUTEX(held);

static noinline void hung_mutex(void)
{
	/* two tasks: this one holds the mutex asleep, whoever comes second waits for it */
	mutex_lock(&held);
	msleep(crash_seconds * 1000);
	mutex_unlock(&held);
}

static noinline void atomic_sleep(void)
{
	preempt_disable();
	msleep(10);
	preempt_enable();
}

static DEFINE_SPINLOCK(lock);

static noinline void atomic_mutex(void)
{
	spin_lock(&lock);
	mutex_lock(&held);
	mutex_unlock(&held);
	spin_unlock(&lock);
}

static noinline void hog(struct work_struct *unused)
{
	spin();
}
static DECLARE_WORK(hog_work, hog);

static noinline void workqueue_hog(void)
{
	schedule_work_on(num_online_cpus() - 1, &hog_work);
	flush_work(&hog_work);
}

static noinline void netdev_refcount(void)
{
	/* wants a device dummy0, and somebody who deletes it meanwhile */
	struct net_device *dev = dev_get_by_name(&init_net, "dummy0");

	if (!dev) {
		pr_warn("there is no dummy0\n");
		return;
	}
	msleep(crash_seconds * 1000);
	dev_put(dev);
}

const struct crash crash_stalls[] = {
	{ "soft_lockup", soft_lockup },
	{ "hard_lockup", hard_lockup },
	{ "rcu_stall", rcu_stall },
	{ "hung_task", hung_task },
	{ "hung_mutex", hung_mutex },
	{ "atomic_sleep", atomic_sleep },
	{ "atomic_mutex", atomic_mutex },
	{ "workqueue_hog", workqueue_hog },
	{ "netdev_refcount", netdev_refcount },
	{ }
};
