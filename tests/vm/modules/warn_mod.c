// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// WARN_ON in init: taint W, a "cut here" report in the log.
#include <linux/module.h>
static int __init warn_init(void) { WARN_ON(1); return 0; }
static void __exit warn_exit(void) { }
module_init(warn_init);
module_exit(warn_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: warns on load");
