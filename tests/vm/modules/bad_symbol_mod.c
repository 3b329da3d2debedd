// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Needs a symbol that no kernel has.
#include <linux/module.h>
extern int kmodmon_no_such_symbol(void);
static int __init bad_init(void) { return kmodmon_no_such_symbol(); }
static void __exit bad_exit(void) { }
module_init(bad_init);
module_exit(bad_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: unknown symbol");
