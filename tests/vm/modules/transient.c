// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// As small as a module can be, for loading and unloading in a loop.
#include <linux/module.h>
static int __init transient_init(void) { return 0; }
static void __exit transient_exit(void) { }
module_init(transient_init);
module_exit(transient_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: comes and goes");
