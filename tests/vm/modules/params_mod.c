// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Parameters of every kind: each permission, each type, and getters that misbehave.
 *   slow      its getter sleeps slow_ms, uninterruptibly and holding the module's parameter lock, so that
 *             every other parameter of this module hangs with it
 *   failing   its getter answers -EINVAL
 *   garbage   bytes that are no UTF-8, a newline in the middle, a terminal escape
 *   longest   4095 bytes, the most that the kernel passes on
 */
#include <linux/delay.h>
#include <linux/module.h>

static int int_rw = 1;
module_param(int_rw, int, 0644);
MODULE_PARM_DESC(int_rw, "everybody reads, root writes");
static int int_ro = -2;
module_param(int_ro, int, 0444);
static int int_root = 3;
module_param(int_root, int, 0600);
static int int_root_ro = 4;
module_param(int_root_ro, int, 0400);
static int int_wo;
module_param(int_wo, int, 0200);
MODULE_PARM_DESC(int_wo, "write-only: reading it is EACCES, for root as well");
static int int_none = 6;
module_param(int_none, int, 0);
MODULE_PARM_DESC(int_none, "no file in sysfs");

static unsigned long long big = ~0ULL;
module_param(big, ullong, 0444);
static unsigned char small = 255;
module_param(small, byte, 0444);
static short negative = -32768;
module_param(negative, short, 0444);
static unsigned int hex = 0xdeadbeef;
module_param(hex, hexint, 0644);

static bool bool_yes = true;
module_param(bool_yes, bool, 0644);
static bool bool_no;
module_param(bool_no, bool, 0644);
static bool inverted = true;
module_param(inverted, invbool, 0644);
static int as_int = 1;
module_param(as_int, bint, 0644);

static char *text_null;
module_param(text_null, charp, 0644);
static char *text_set = "some text, with a comma";
module_param(text_set, charp, 0644);
static char *text_empty = "";
module_param(text_empty, charp, 0644);
static char text_copy[32] = "held in the module";
module_param_string(text_copy, text_copy, sizeof(text_copy), 0644);

static int numbers[4] = { 1, 2, 3 };
static int number_count = 3;
module_param_array(numbers, int, &number_count, 0444);
static int none[4];
static int none_count;
module_param_array(none, int, &none_count, 0444);
static char *words[3] = { "one", "two", NULL };
static int word_count = 3;
module_param_array(words, charp, &word_count, 0444);

/* What must not be shown. */
static char *password = "hunter2";
module_param(password, charp, 0444);
static char *api_token = "tok-4f5a1c0ffee";
module_param(api_token, charp, 0400);
/* A secret that is no number: the kernel's log shows it ("`...' invalid for parameter `psk'"). */
static int psk;
module_param(psk, int, 0);

static int slow_ms;
module_param(slow_ms, int, 0644);

static int slow_get(char *buffer, const struct kernel_param *kp)
{
	msleep(slow_ms);
	return sysfs_emit(buffer, "slept %d\n", slow_ms);
}
static const struct kernel_param_ops slow_ops = { .get = slow_get };
module_param_cb(slow, &slow_ops, NULL, 0444);

static int failing_get(char *buffer, const struct kernel_param *kp)
{
	return -EINVAL;
}
static const struct kernel_param_ops failing_ops = { .get = failing_get };
module_param_cb(failing, &failing_ops, NULL, 0444);

static int garbage_get(char *buffer, const struct kernel_param *kp)
{
	static const char bytes[] = "caf\xe9 \xff\x80\nsecond line\x1b[31m red\ttab \\x41\n";

	memcpy(buffer, bytes, sizeof(bytes) - 1);
	return sizeof(bytes) - 1;
}
static const struct kernel_param_ops garbage_ops = { .get = garbage_get };
module_param_cb(garbage, &garbage_ops, NULL, 0444);

static int longest_get(char *buffer, const struct kernel_param *kp)
{
	memset(buffer, 'x', 4094);
	buffer[4094] = '\n';
	return 4095;
}
static const struct kernel_param_ops longest_ops = { .get = longest_get };
module_param_cb(longest, &longest_ops, NULL, 0444);

/* A file that is there and has neither getter nor setter. */
static const struct kernel_param_ops nothing_ops = { };
module_param_cb(nothing, &nothing_ops, NULL, 0444);

static int __init params_init(void)
{
	return 0;
}

static void __exit params_exit(void)
{
}

module_init(params_init);
module_exit(params_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("kmodmon test: parameters of every kind");
MODULE_VERSION("0.1 with spaces");
