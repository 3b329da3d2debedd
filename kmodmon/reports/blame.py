"""Decides which module a report names, and which frames identify the bug.

Documentation/admin-guide/bug-hunting.rst. A module in the call trace is no proof against it, and its absence none for
it: what is named here is the module to look at first, with the sign that it is named by (`FaultReason`).
"""

import re
from collections.abc import Iterable

from kmodmon.events.report import FaultReason, Frame, LinkedModule

# Functions that detect damage, wait, read a clock, allocate or print: they stand in the trace between the bug and the
# report. Matched as prefixes, after leading underscores.
_HELPERS = re.compile(
    r"_*(?:"
    r"list_(?:add|del)|hlist_|refcount|kref_|rcuref|usercopy|check_(?:object_size|heap_object|copy_size|bytes|object|noncircular|prev|usage|flags|wait_context|slab|memory_region|poison|unmap|deadlock)|"
    r"kasan|asan_|hwasan|kmsan|msan_|kcsan|tsan|kfence|ubsan|handle_overflow|val_to_string|"
    r"print_|report_|describe_|dump_|show_|end_report|complete_report|slab_(?:bug|err|pad|free|fix)|object_err|kmem_cache_|kfree|kvfree|vfree|kmalloc|kzalloc|kvmalloc|krealloc|slub_|free_(?:debug|to_partial|large)|___?slab|do_slab|"
    r"warn|v?panic|oops|die|bad_area|no_context|bug_at|fault|do_(?:trap|error_trap|kern_addr_fault|user_addr_fault|page_fault|translation_fault|mem_abort|undefinstr|DataAbort|PrefetchAbort|sea|bad_area|invalid_op|exit|group_exit|softirq|debug|int3|undef|illegal)|"
    r"exc_|asm_(?:exc_|sysvec|common)|sysvec_|invalid_op|error_(?:code|entry|return)|page_fault|general_protection|async_page_fault|fixup_|handle_(?:bug|invalid|stack|exception|reserved|sys|el1|page_fault|mm_fault|break|bp)|"
    r"el1|el0|vectors|ret_(?:from|to)|entry_|call_on_(?:irq|stack)|dabt|pabt|und_svc|dab_svc|brk_handler|bug_handler|debug_exception|invoke_|"
    r"schedule|sched|preempt|might_(?:sleep|resched|fault)|cond_resched|context_switch|io_schedule|wait_(?:for|on|woken|event)|bit_wait|out_of_line_wait|swait|down|up_|rwsem_|rt_mutex|mutex_|ww_mutex|raw_spin|spin_|_raw_|raw_read|raw_write|read_lock|write_lock|queued_|native_queued|pv_|kvm_wait|lock_|"
    r"lockdep|validate_chain|mark_(?:lock|usage|held|irqflags)|check_preemption|acquire|release_lock|lock_acquire|lock_release|debug_(?:object|check|locks|mutex|spin|rt|smp)|"
    r"rcu_|synchronize|srcu|call_rcu|trace_|tracing_|stack_trace|save_stack|unwind|arch_stack|perf_|kprobe|ftrace|nmi_|trigger_|default_|arch_(?:dump|trigger|cpu)|watchdog|update_process_times|tick_|hrtimer|local_apic|smp_(?:apic|call|processor)|apic_timer|generic_(?:exec|handle|smp)|irq_(?:exit|enter|work)|handle_irq|run_ksoftirqd|ksoftirqd|"
    r"ktime_|timekeeping_|getboottime|getnstimeofday|do_gettimeofday|current_kernel_time|get_cycles|read_(?:hpet|tsc|current_timer|hv_)|acpi_pm_read|pvclock_|kvm_clock_|xen_clocksource_|native_(?:read_tsc|sched_clock)|local_clock|arch_(?:counter|timer_read)|const_udelay|ndelay|"
    r"mem(?:cpy|set|move|cmp|chr)|str(?:len|cpy|cmp|ncpy|lcpy|scpy|nlen|chr|str|dup|cat)|fortify|copy_(?:to|from)_user|copy_user|raw_copy|get_user|put_user|"
    r"alloc_(?:page|frozen|pages|skb_with)|get_page|oom|out_of_memory|mempool|vmalloc|get_free_page|"
    r"try_to_wake|wake_up|complete|prepare_to|finish_wait|timer_|del_timer|mod_timer|kthread|worker_thread|process_one_work|process_scheduled|flush_work|cancel_work|cancel_delayed|drain_work|destroy_work|queue_work|insert_work|"
    r"x86_(?:indirect|return)_thunk|x64_sys|ia32_sys|arm64_sys|se_sys|do_sys|sys_|SyS_|SYSC_|do_syscall|syscall|system_call|tracesys|common_interrupt|"
    r"kobject_(?:add|put|get|del|init)|sysfs_|stack_chk|smp_call|delay|udelay|msleep|usleep|rest_init|start_kernel|secondary_start|cpu_startup|do_idle|cpu_idle|default_idle|arch_local"
    r")"
)
_CLONE = re.compile(r"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias)(?:\.\d+)?|\.\d+$")


def plain(function: str) -> str:
    """Return the function's name without the compiler's suffixes: `.isra.0`, `.cold`, `.constprop.3`."""
    return _CLONE.sub("", function)


def is_helper(function: str) -> bool:
    """Whether the function only detects, waits, reads a clock, allocates or prints."""
    return _HELPERS.match(function) is not None


def culprits(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    """Return the reliable frames whose function may hold the bug: those of modules, and all that are no helpers."""
    return tuple(
        frame for frame in frames if frame.reliable and (frame.module is not None or not is_helper(frame.function))
    )


def blame(
    banner: Frame | None,
    pointer: Frame | None,
    frames: tuple[Frame, ...],
    linked: tuple[LinkedModule, ...],
    *,
    sampled: bool = False,
) -> tuple[str | None, FaultReason | None]:
    """Return the module to look at first and the sign that it is named by.

    `banner`: the function in the first line of the report; `pointer`: where the instruction pointer was; `linked`: the
    modules of `Modules linked in:`; `sampled`: the report is of a CPU that makes no progress, and the pointer is where
    a timer found it, in any function that the one at fault calls again and again. Both results are None when all signs
    point into the core kernel.
    """
    if banner is not None and banner.module is not None:
        return banner.module, FaultReason.BANNER
    if pointer is not None and pointer.module is not None:
        return pointer.module, FaultReason.INSTRUCTION
    place = next((frame for frame in (pointer, banner) if frame is not None), None)  # in the core kernel
    if place is None or sampled or is_helper(place.function):
        is_again = sampled and place is not None and bool(frames) and frames[0].function == place.function  # arm64
        below = next(iter(culprits(frames[1:] if is_again else frames)), None)
        if below is not None and below.module is not None:
            return below.module, FaultReason.BELOW_DETECTOR
    tainting = {module.name for module in linked if module.tainting}
    for frame in frames:
        if frame.reliable and frame.module in tainting:
            return frame.module, FaultReason.TAINTING_FRAME
    return None, None
