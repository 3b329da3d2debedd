// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A plain module whose long name leaves room for odd ones: tests/vm/patch.py writes them over it, in copies.
#include <linux/module.h>
static int __init room_init(void) { return 0; }
static void __exit room_exit(void) { }
module_init(room_init);
module_exit(room_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: odd names");
