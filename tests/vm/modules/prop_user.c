// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// GPL itself, on top of prop_mod: inherits its taint P.
#include <linux/module.h>
int prop_mod_value(void);
static int __init prop_user_init(void) { return prop_mod_value() == 45 ? 0 : -EINVAL; }
static void __exit prop_user_exit(void) { }
module_init(prop_user_init);
module_exit(prop_user_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: on top of a proprietary module");
