// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Uses a symbol of stack_a that lies in a namespace, and does not import that namespace: refused.
#include <linux/module.h>
int stack_a_apart(void);
static int __init ns_user_init(void) { return stack_a_apart() == 43 ? 0 : -EINVAL; }
static void __exit ns_user_exit(void) { }
module_init(ns_user_init);
module_exit(ns_user_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: misses a namespace import");
