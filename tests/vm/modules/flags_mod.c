// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Every taint that a modinfo tag brings: staging (C), livepatch (K), test (N); with O and E from being what it is.
#include <linux/module.h>
static int __init flags_init(void) { return 0; }
static void __exit flags_exit(void) { }
module_init(flags_init);
module_exit(flags_exit);
MODULE_LICENSE("GPL");
MODULE_INFO(staging, "Y");
MODULE_INFO(livepatch, "Y");
MODULE_INFO(test, "Y");
MODULE_DESCRIPTION("kmodmon test: taint flags");
