// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* Ways to be caught by a check of memory, lists or counters. */
#include "crash.h"

#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#if IS_ENABLED(CONFIG_KFENCE)
#include <linux/kfence.h>
#endif

static LIST_HEAD(list);

static noinline void list_del_twice(void)
{
	static struct list_head entry;

	list_add(&entry, &list);
	list_del(&entry);
	list_del(&entry);
}

static noinline void list_add_twice(void)
{
	static struct list_head entry;

	list_add(&entry, &list);
	list_add(&entry, &list);
}

static noinline void refcount_underflow(void)
{
	refcount_t r = REFCOUNT_INIT(0);

	if (refcount_dec_and_test(&r))
		pr_info("refcount was one\n");
}

static noinline void refcount_use_after_free(void)
{
	refcount_t r = REFCOUNT_INIT(0);

	refcount_inc(&r);
}

static noinline void refcount_saturated(void)
{
	refcount_t r = REFCOUNT_INIT(INT_MAX);

	refcount_inc(&r);
}

static noinline void double_free(void)
{
	char *p = kmalloc(96, GFP_KERNEL);
	char *volatile again = p;

	kfree(p);
	kfree(again);
}

static noinline void slab_leak(void)
{
	struct kmem_cache *cache = kmem_cache_create("crash_mod_cache", 192, 0, SLAB_POISON, NULL);

	if (!cache || !kmem_cache_alloc(cache, GFP_KERNEL))
		return;
	kmem_cache_destroy(cache);
}

static noinline void bad_page(void)
{
	/* a block too large for the lists of each CPU, whose pages are looked at only later */
	struct page *page = alloc_pages(GFP_KERNEL, 4);

	if (!page)
		return;
	page->mapping = (void *)0x1000;
	__free_pages(page, 4);
}

static noinline void page_alloc(void)
{
	/* the largest blocks, until there is none; GFP_NOWAIT wakes no OOM killer */
	struct page *head = NULL, *page;

	while ((page = alloc_pages(GFP_NOWAIT & ~__GFP_NOWARN, 9))) {
		page->private = (unsigned long)head;
		head = page;
	}
	while (head) {
		page = (struct page *)head->private;
		head->private = 0;
		__free_pages(head, 9);
		head = page;
	}
}

static noinline void vmalloc_huge_size(void)
{
	vfree(vmalloc(1UL << 42));
}

static noinline void fortify(void)
{
	static char small[8];
	static char big[64];
	static volatile size_t size = 64;

	memcpy(small, big, size);
}

static struct { char tag[4]; char name[8]; char rest[64]; } spanned;

static noinline void field_span(void)
{
	static char big[64];
	static volatile size_t size = 32;

	memcpy(spanned.name, big, size);
}

static noinline void usercopy(void)
{
	/* more than the slab object holds, to a page of the task that loads the module (context=init) */
	static volatile size_t size = 512;
	unsigned long user = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, 0);
	char *p = kmalloc(64, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);	/* or the compiler's own check of the size speaks first */
	if (p && !IS_ERR_VALUE(user) && copy_to_user((void __user *)user, p, size))
		pr_info("copy_to_user stopped short\n");
	kfree(p);
}

static noinline void ubsan_bounds(void)
{
	static int table[4];
	static volatile int index = 7;

	table[index] = 1;
}

static noinline void ubsan_shift(void)
{
	static volatile int by = 77;
	static volatile int result;

	result = 1 << by;
}

#if IS_ENABLED(CONFIG_KFENCE)
/* A KFENCE object, if sampling is on (kfence.sample_interval); NULL after "seconds" without one. */
static char *kfence_object(void)
{
	unsigned long end = jiffies + crash_seconds * HZ;
	char *p;

	while (time_before(jiffies, end)) {
		p = kmalloc(64, GFP_KERNEL);
		if (is_kfence_address(p))
			return p;
		kfree(p);
		cond_resched();
	}
	pr_warn("no KFENCE object came\n");
	return NULL;
}

static noinline void kfence_uaf(void)
{
	char *p = kfence_object();
	char *volatile again = p;

	if (!p)
		return;
	kfree(p);
	pr_info("freed byte is %d\n", *(volatile char *)again);
}

static noinline void kfence_oob(void)
{
	char *p = kfence_object();

	/* the object lies at one end of its page: one of the two sides is the guard page */
	if (!p)
		return;
	if (((unsigned long)p & ~PAGE_MASK) < 64)
		pr_info("byte before is %d\n", *(volatile char *)(p - 1));
	else
		pr_info("byte behind is %d\n", *(volatile char *)(p + 64));
	kfree(p);
}

static noinline void kfence_corrupt(void)
{
	char *p = kfence_object();

	if (!p)
		return;
	if (((unsigned long)p & ~PAGE_MASK) < 64)
		*(volatile char *)(p + 64) = 0x42;
	else
		*(volatile char *)(p - 1) = 0x42;
	kfree(p);
}

static noinline void kfence_invalid_free(void)
{
	char *p = kfence_object();

	if (!p)
		return;
	kfree(p + 8);
	kfree(p);
}
#endif

const struct crash crash_memory[] = {
	{ "list_del_twice", list_del_twice },
	{ "list_add_twice", list_add_twice },
	{ "refcount_underflow", refcount_underflow },
	{ "refcount_use_after_free", refcount_use_after_free },
	{ "refcount_saturated", refcount_saturated },
	{ "double_free", double_free },
	{ "slab_leak", slab_leak },
	{ "bad_page", bad_page },
	{ "page_alloc", page_alloc },
	{ "vmalloc_huge_size", vmalloc_huge_size },
	{ "fortify", fortify },
	{ "field_span", field_span },
	{ "usercopy", usercopy },
	{ "ubsan_bounds", ubsan_bounds },
	{ "ubsan_shift", ubsan_shift },
#if IS_ENABLED(CONFIG_KFENCE)
	{ "kfence_uaf", kfence_uaf },
	{ "kfence_oob", kfence_oob },
	{ "kfence_corrupt", kfence_corrupt },
	{ "kfence_invalid_free", kfence_invalid_free },
#endif
	{ }
};
