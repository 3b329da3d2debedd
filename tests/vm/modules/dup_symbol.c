// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// Exports a symbol that stack_a exports as well: refused while stack_a is loaded.
#include <linux/module.h>
int stack_a_value(void);
int stack_a_value(void) { return 44; }
EXPORT_SYMBOL_GPL(stack_a_value);
static int __init dup_symbol_init(void) { return 0; }
static void __exit dup_symbol_exit(void) { }
module_init(dup_symbol_init);
module_exit(dup_symbol_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: exports a symbol of another");
