// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A plain GPL module with parameters of every kind of permission.
#include <linux/module.h>
static int level = 3;
module_param(level, int, 0644);
MODULE_PARM_DESC(level, "readable and writable by root");
static char *name = "world";
module_param(name, charp, 0444);
MODULE_PARM_DESC(name, "read-only");
static int hidden = 7;
module_param(hidden, int, 0);
MODULE_PARM_DESC(hidden, "no file in sysfs");
static int secret;
module_param(secret, int, 0200);
MODULE_PARM_DESC(secret, "write-only");
static bool flag = true;
module_param(flag, bool, 0600);
static int list[4] = { 1, 2, 3 };
static int nlist = 3;
module_param_array(list, int, &nlist, 0444);
static int __init hello_init(void) { pr_info("hello %s, level %d\n", name, level); return 0; }
static void __exit hello_exit(void) { pr_info("goodbye %s\n", name); }
module_init(hello_init);
module_exit(hello_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: plain module");
MODULE_VERSION("1.2.3");
