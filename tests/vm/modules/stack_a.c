// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Exports what stack_b, gpl_user and ns_user use.
#include <linux/module.h>
#include <linux/version.h>
int stack_a_value(void);
int stack_a_value(void) { return 42; }
EXPORT_SYMBOL_GPL(stack_a_value);
int stack_a_apart(void);
int stack_a_apart(void) { return 43; }
/* Since Linux kernel commit cdd30ebb1b9f ("module: Convert symbol namespace to string literal") (in v6.13). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
EXPORT_SYMBOL_NS_GPL(stack_a_apart, "KMODMON_TEST");
#else
EXPORT_SYMBOL_NS_GPL(stack_a_apart, KMODMON_TEST);
#endif
static int __init stack_a_init(void) { return 0; }
static void __exit stack_a_exit(void) { }
module_init(stack_a_init);
module_exit(stack_a_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: below stack_b");
