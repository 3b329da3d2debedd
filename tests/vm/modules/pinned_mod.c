// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Holds references to itself: "pins" of them, taken and given back by writing the parameter.
#include <linux/module.h>
static int pins;
static int pins_set(const char *val, const struct kernel_param *kp)
{
	int n, err = kstrtoint(val, 0, &n);

	if (err || n < 0)
		return err ?: -EINVAL;
	for (; pins < n; pins++)
		__module_get(THIS_MODULE);
	for (; pins > n; pins--)
		module_put(THIS_MODULE);
	return 0;
}
static const struct kernel_param_ops pins_ops = { .set = pins_set, .get = param_get_int };
module_param_cb(pins, &pins_ops, &pins, 0644);
static int __init pinned_init(void) { return 0; }
static void __exit pinned_exit(void) { }
module_init(pinned_init);
module_exit(pinned_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: leaks references to itself");
