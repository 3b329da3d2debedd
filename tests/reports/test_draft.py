"""What a report keeps of its lines: whose trace, which task, whose taint; and its title and fingerprint."""

import pytest

from kmodmon.events.report import FaultReason, KernelReport
from kmodmon.reports.saved_log import explain_log
from tests.reports.casefile import HERE, read_case

WARNING = "WARNING: CPU: 1 PID: 149 at drivers/foo.c:16 foo_fn+0x19f/0x280 [foo]"
LOCKUP = "watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [insmod:149]"
TASK = "CPU: 1 PID: 149 Comm: insmod Tainted: G           OE     6.1.0 #1"


def report(*texts: str) -> KernelReport:
    """The only report of a log of these lines."""
    (only,) = explain_log("\n".join(texts).encode())
    return only


def report_of_case(name: str) -> KernelReport:
    """The only report of a case."""
    (only,) = read_case(HERE / "cases" / f"{name}.log").reports()
    return only


def trace(*names: str) -> tuple[str, ...]:
    """A trace as x86 prints it."""
    return "Call Trace:", " <TASK>", *(f" {name}+0x1d/0x40" for name in names), " </TASK>"


def functions(given: KernelReport) -> list[str]:
    """The functions of the trace that was kept."""
    return [frame.function for frame in given.frames]


# Whose trace.


def test_trace_when_other_cpus_print_theirs_behind_it_then_only_the_first_is_kept() -> None:
    lockup = report(
        LOCKUP, TASK, *trace("foo_spin", "foo_init"), "Sending NMI from CPU 1 to CPUs 0:", "NMI backtrace for cpu 0",
        "CPU: 0 PID: 0 Comm: swapper/0 Tainted: G           OE     6.1.0 #1",
        "RIP: 0010:acpi_idle_do_entry+0x2e/0x40", *trace("acpi_idle_enter", "do_idle"),
    )  # fmt: skip
    assert functions(lockup) == ["foo_spin", "foo_init"]
    assert (lockup.function, lockup.cpu) == ("foo_spin", 1)


def test_trace_when_a_first_entry_stands_before_its_heading_then_the_entries_below_are_kept_too() -> None:
    # A mail wrapped the banner before the function, so that it looks like an entry.
    assert functions(report_of_case("odebug-warn")) == ["foo_work", "debug_print_object", "foo_exit"]


def test_trace_when_its_heading_is_printed_twice_then_its_entries_are_kept() -> None:
    assert functions(report(LOCKUP, TASK, "Call Trace:", *trace("foo_spin"))) == ["foo_spin"]


def test_trace_when_those_of_the_locks_stand_before_the_stack_backtrace_then_only_the_latter_is_kept() -> None:
    assert functions(report_of_case("lockdep-circular-6.1")) == [
        "dump_stack_lvl", "check_noncircular", "__lock_acquire", "hci_dev_do_close",
    ]  # fmt: skip


def test_trace_when_that_of_an_allocation_and_a_panic_follow_then_only_the_first_is_kept() -> None:
    kfence = report(
        "BUG: KFENCE: out-of-bounds read in foo_read+0xa6/0x234 [foo]",
        "Out-of-bounds read at 0xffff8c3f2e291fff (1B left of kfence-#72):",
        " foo_read+0xa6/0x234 [foo]",
        "kfence-#72: 0xffff8c3f2e292000-0xffff8c3f2e29201f, size=32, cache=kmalloc-32",
        "allocated by task 484 on cpu 0 at 32.919330s:",
        " foo_alloc+0xfe/0x738 [foo]",
        TASK,
        "Kernel panic - not syncing: KFENCE: panic_on_warn set ...",
        TASK,
        *trace("dump_stack_lvl", "panic", "check_panic_on_warn"),
    )
    assert kfence.panic
    assert functions(kfence) == ["foo_read"]


def test_trace_when_arm_prints_callee_and_caller_then_the_first_callee_and_all_callers_are_kept() -> None:
    assert functions(report_of_case("arm-null-6.0")) == ["update_vsyscall", "timekeeping_update", "timekeeping_advance"]


def test_trace_when_an_entry_is_inlined_then_it_is_kept_without_an_offset() -> None:
    frames = report_of_case("kasan-6.6").frames
    assert [(frame.function, frame.offset) for frame in frames[:2]] == [("__dump_stack", None), ("dump_stack_lvl", 217)]


def test_pointer_when_a_bare_address_follows_then_the_named_one_stays() -> None:
    oops = report_of_case("arm-null-6.0")  # `PC is at update_vsyscall+0x1c/0x380`, then `pc : [<c019d604>]`
    assert (oops.function, oops.offset) == ("update_vsyscall", 0x1C)


def test_pointer_when_a_later_one_is_in_user_space_then_the_first_stays() -> None:
    oops = report(
        "Unable to handle kernel NULL pointer dereference at 0000000000000010 RIP: ",
        " [<ffffffff8836e2c1>] :nfs:nfs_readdir+0x1c1/0x4f0",
        "RIP: 0033:[<00002b2d8a0f2c30>]",
        "Call Trace:",
        " [<ffffffff80035b1e>] vfs_readdir+0x77/0xa9",
    )
    assert (oops.function, oops.module, oops.module_reason) == ("nfs_readdir", "nfs", FaultReason.INSTRUCTION)


# Task, taint and modules.


@pytest.mark.parametrize(
    ("case", "arch", "release", "task", "unloaded"),
    [
        ("x86-null-6.12", "x86", "6.12.94+deb13-cloud-amd64", (1, 124, "python3"), "kmt"),
        ("arm-null-6.0", "arm", "6.0.1-g17ad3d52d575-dirty", (0, 0, "swapper/0"), None),
        ("riscv-null-6.6", "riscv", "6.6.0", (1, 99, "insmod"), None),
    ],
)
def test_facts_when_lines_of_an_oops_have_them_then_they_are_kept(
    case: str, arch: str, release: str, task: tuple[int, int, str], unloaded: str | None
) -> None:
    oops = report_of_case(case)
    assert (oops.arch, oops.release, oops.last_unloaded) == (arch, release, unloaded)
    assert (oops.cpu, oops.pid, oops.comm) == task


def test_task_when_the_panic_names_the_watchdog_then_that_of_the_report_stays() -> None:
    # The task line of a hung task does not say its CPU; that of the panic is the CPU of khungtaskd.
    hung = report_of_case("vm-6.1.0-hung_task_panic")
    assert (hung.cpu, hung.pid, hung.comm, hung.panic) == (None, 223, "crash_mod", True)


def test_taint_when_the_task_line_was_wrapped_then_the_names_complete_it() -> None:
    wrapped = report(
        WARNING,
        "CPU: 1 UID: 0 PID: 149 Comm: insmod Tainted: G",
        "OE 6.12.0 #1",
        "Tainted: [O]=OOT_MODULE, [E]=UNSIGNED_MODULE",
    )
    assert wrapped.taint_letters == "OE"


def test_modules_when_two_records_list_more_than_512_then_the_first_512_are_kept() -> None:
    names = [f"m{number}" for number in range(600)]
    linked = report(WARNING, f"Modules linked in: {' '.join(names[:500])}", f" {' '.join(names[500:])}").linked
    assert [module.name for module in linked] == names[:512]


def test_module_when_the_banner_has_an_address_instead_of_a_function_then_it_is_named_by_the_line() -> None:
    unnamed = report(WARNING.replace("foo_fn+0x19f/0x280", "0x860546a4"))
    assert (unnamed.module, unnamed.module_reason, unnamed.function) == ("foo", FaultReason.NAMED, None)


def test_module_when_its_own_function_is_called_as_a_detectors_then_it_is_named_by_the_banner() -> None:
    own = report(WARNING.replace("foo_fn", "list_add"))
    assert (own.module, own.module_reason, own.function) == ("foo", FaultReason.BANNER, None)


# Title and fingerprint.


@pytest.mark.parametrize(
    ("case", "title"),
    [
        ("lockdep-circular-6.1", "possible circular locking dependency in hci_dev_do_close [bluetooth]"),
        ("vm-6.1.0-warn", "WARNING at crash_checks.c in thread [crash_mod]"),
        ("alpha-bug", "kernel BUG at mm/foo_alloc.c"),
        ("io-nvme-timeout", "NVMe error: I/O 512 QID 3 timeout"),
        ("netdev-watchdog-6.6", "NETDEV WATCHDOG: transmit queue timed out (unknown)"),
    ],
)
def test_title_when_a_report_is_complete_then_says_what_and_where(case: str, title: str) -> None:
    assert report_of_case(case).title == title


def test_title_when_the_fault_has_a_number_then_it_is_left_out() -> None:
    first, second = (
        report(f"Unhandled fault: external abort on non-linefetch (0x{number}) at 0xf0a1c004")
        for number in (1008, 1018)
    )
    assert first.title == second.title
    assert "(N)" in first.title


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/usr/src/linux-6.1/drivers/net/foo.c", "drivers/net/foo.c"),
        ("/home/user/foo-1.2/foo.c", "foo.c"),
        (f"mm/{'x' * 75}.c", f"mm/{'x' * 75}.c"),
        (f"mm/{'x' * 76}.c", f"mm/{'x' * 76}…"),
    ],
)
def test_title_when_it_has_a_path_then_that_in_the_kernel_tree_or_the_name_of_at_most_80_characters(
    path: str, shown: str
) -> None:
    assert report(f"kernel BUG at {path}:99!").title == f"kernel BUG at {shown}"


def _fault(where: str, *callers: str) -> str:
    return report(
        "BUG: kernel NULL pointer dereference, address: 0000000000000010", TASK,
        f"RIP: 0010:{where}+0x12/0x40", *trace(*callers),
    ).fingerprint  # fmt: skip


def test_fingerprint_when_built_elsewhere_then_is_the_same() -> None:
    first, second = (
        report(f"kernel BUG at {tree}/drivers/net/foo.c:99!") for tree in ("/usr/src/linux-6.1", "/build/linux")
    )
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != report("kernel BUG at drivers/net/bar.c:99!").fingerprint


def test_fingerprint_when_the_fourth_caller_differs_then_is_the_same_but_not_with_another_third() -> None:
    known = _fault("foo_fn", "foo_a", "foo_b", "foo_c", "foo_d")
    assert _fault("foo_fn", "foo_a", "foo_b", "foo_c", "bar_d") == known
    assert _fault("foo_fn", "foo_a", "foo_b", "bar_c", "foo_d") != known


def test_fingerprint_when_functions_call_each_other_then_tells_in_which_the_fault_was() -> None:
    assert _fault("foo_walk", "foo_step", "foo_walk") != _fault("foo_step", "foo_step", "foo_walk")


def test_fingerprint_when_the_fault_was_in_a_helper_then_it_does_not_count() -> None:
    assert _fault("memcpy", "foo_a") == _fault("memset", "foo_a")
    assert _fault("memcpy", "foo_a") != _fault("memcpy", "foo_b")
