// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Uses a symbol of stack_a.
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt
#include <linux/module.h>
int stack_a_value(void);
static int __init stack_b_init(void) { pr_info("stack_a says %d\n", stack_a_value()); return 0; }
static void __exit stack_b_exit(void) { }
module_init(stack_b_init);
module_exit(stack_b_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: on top of stack_a");
