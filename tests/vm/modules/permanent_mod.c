// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// No exit function: cannot be removed, "[permanent]" in /proc/modules.
#include <linux/module.h>
static int __init permanent_init(void) { return 0; }
module_init(permanent_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: permanent");
