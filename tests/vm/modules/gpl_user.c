// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Uses a GPL-only symbol of stack_a.  The build would refuse another licence, so tests/vm/patch.py writes
// "Proprietary" over this one: the kernel then says that it does not know the symbol.
#include <linux/module.h>
int stack_a_value(void);
static int __init gpl_user_init(void) { return stack_a_value() == 42 ? 0 : -EINVAL; }
static void __exit gpl_user_exit(void) { }
module_init(gpl_user_init);
module_exit(gpl_user_exit);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("kmodmon test: not GPL, uses a GPL-only symbol");
