// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// init answers -EIO (or what "err" says; 0: init sleeps "ms" so that the Loading state can be seen).
#include <linux/module.h>
#include <linux/delay.h>
static int err = -5;
module_param(err, int, 0444);
static int ms;
module_param(ms, int, 0444);
static int __init initfail_init(void) { msleep(ms); return err; }
static void __exit initfail_exit(void) { msleep(ms); }
module_init(initfail_init);
module_exit(initfail_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: init fails, or is slow");
