// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
// init sleeps "ms", exit sleeps "exit_ms": the states Loading and Unloading, long enough to be looked at.
#include <linux/delay.h>
#include <linux/module.h>
static int ms = 1000;
module_param(ms, int, 0444);
static int exit_ms;
module_param(exit_ms, int, 0644);
static int __init slow_init_init(void) { msleep(ms); return 0; }
static void __exit slow_init_exit(void) { msleep(exit_ms); }
module_init(slow_init_init);
module_exit(slow_init_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: is slow");
