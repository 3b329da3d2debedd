// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A module under another licence: taint P.  What uses its symbol inherits the taint.
#include <linux/module.h>
int prop_mod_value(void);
int prop_mod_value(void) { return 45; }
EXPORT_SYMBOL(prop_mod_value);
static int __init prop_init(void) { return 0; }
static void __exit prop_exit(void) { }
module_init(prop_init);
module_exit(prop_exit);
MODULE_LICENSE("Proprietary");
MODULE_DESCRIPTION("kmodmon test: not GPL");
