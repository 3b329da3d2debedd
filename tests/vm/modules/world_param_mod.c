// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// A world-writable parameter.  The macro refuses it at compile time, so the entry is written by hand; sysfs then warns
// ("Attribute int_world: Invalid permissions 0222") and takes the write permission of others away.
#include <linux/module.h>
static int int_world = 7;
static const char int_world_name[] = "int_world";
static const struct kernel_param int_world_param
	__used __section("__param") __aligned(sizeof(void *)) = {
	.name = int_world_name,
	.mod = THIS_MODULE,
	.ops = &param_ops_int,
	.perm = 0222,
	.level = -1,
	.arg = &int_world,
};
static int __init world_init(void) { return 0; }
static void __exit world_exit(void) { }
module_init(world_init);
module_exit(world_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: world-writable parameter");
