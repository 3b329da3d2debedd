// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A parameter marked unsafe: setting it taints the kernel with U.
#include <linux/module.h>
static int danger;
module_param_unsafe(danger, int, 0644);
static int __init tp_init(void) { return 0; }
static void __exit tp_exit(void) { }
module_init(tp_init);
module_exit(tp_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: unsafe parameter");
