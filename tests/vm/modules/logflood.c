// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Writes "lines" numbered lines to the kernel log, "rate" a second (0: as fast as it can): on load, and when "more" is written.
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/module.h>

static int lines = 1000;
module_param(lines, int, 0644);
static int rate;
module_param(rate, int, 0644);

static void flood(int n)
{
	ktime_t start = ktime_get();
	int i;

	for (i = 0; i < n; i++) {
		printk(KERN_DEBUG "logflood: line %d of %d, padded to look like an ordinary driver message\n", i, n);
		if (rate > 0) {
			s64 ahead = (s64)(i + 1) * 1000000 / rate - ktime_us_delta(ktime_get(), start);

			if (ahead > 1000)
				usleep_range(ahead, ahead + 500);
		} else if (!(i & 1023)) {
			cond_resched();
		}
	}
	pr_info("%d lines in %lld us\n", n, ktime_us_delta(ktime_get(), start));
}

static int more_set(const char *val, const struct kernel_param *kp)
{
	int n, err = kstrtoint(val, 0, &n);

	if (!err)
		flood(n);
	return err;
}
static const struct kernel_param_ops more_ops = { .set = more_set };
module_param_cb(more, &more_ops, NULL, 0200);

static int __init logflood_init(void)
{
	flood(lines);
	return 0;
}

static void __exit logflood_exit(void)
{
}

module_init(logflood_init);
module_exit(logflood_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: floods the log");
