"""Whether the kernel itself confirms a report: which counter or taint bit each kind of report moves.

Users choose text in records of the kernel (names of tasks, devices, mount options), so a line alone proves nothing.
The table says what the kernel does beside printing, and where. A report is confirmed when a number of its kind moved
between the last reading before its first line and a reading after it. It is unconfirmed when the kernel has such a
number, a real report of this kind always moves it, and it did not move within SETTLE_USEC after the report was
complete. Else nothing can be told (None), and the report is believed as any line of the log.

A kind is in the table only if the code named with it was read; what a kernel may also do without moving a number is no
proof of a forgery. Attacks that were thought of:

- A user forges while a real report comes: one number moved, and both claim it. Both stay believed, so that a forged
  report never makes a real one doubtful. What is forged then names a module of the user's choice.
- A user provokes the counter (a WARN that can be reached, a task that hangs) and forges beside it: a forged report of
  the same kind is believed, one of another kind is not: the table is by kind.
- A user forges a kind that no number confirms (a file system's error, an I/O error): it is believed as before.
- A user forges the very report that a real one will be, to have the real one counted as its repeat: a repeat is only
  one of a report that was told with the same answer (`kmodmon.reports.budget`).
- A user forges faster than the numbers are read: reports wait in bounded memory (`kmodmon.reports.held`).
- A kernel that pauses between its text and its counter for longer than SETTLE_USEC (a slow console, a write to pstore):
  the report is told as unconfirmed. The second of two oopses is the case: the first one also sets the taint bit D,
  which is set before the write to pstore.

A panic is confirmed by nothing, and no process outlives one: what is seen of a panic SETTLE_USEC later never was one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmodmon.events.report import KernelReport
from kmodmon.subjects.counter_readings import TAINTED, CounterReadings

SETTLE_USEC = 1_000_000  # after which a real report has moved its number
GIVE_UP_USEC = 5_000_000  # after which a number that is not read any more tells nothing
CLOCK_USEC = 1_000_000  # tolerance between printk's clock and CLOCK_MONOTONIC

_SPEC, _MCE, _BAD_PAGE, _DIE, _WARN, _FIRMWARE, _LOCKUP = (1 << bit for bit in (2, 4, 5, 7, 9, 11, 14))


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One way in which the kernel goes on after the text of a report."""

    counter: str | None = None  # it raises this one of `kernel.sysctl.COUNTERS`
    bits: int = 0  # taint bits, of which it sets one
    counted: bool = True  # each such report raises the counter, where the kernel has it
    tainted: bool = True  # each such report sets one of the bits
    unless: tuple[str, ...] = ()  # phrases in the first lines by which the text is another one, which moves nothing
    function: str  # of the kernel, with its file


# https://docs.kernel.org/admin-guide/tainted-kernels.html has the bits; WARN_TAINT() may set another one than W.
_DIES = Effect(counter="oops_count", bits=_DIE, function="arch/*/kernel/traps.c die(), kernel/exit.c make_task_dead()")
_WARNS = Effect(
    counter="warn_count", bits=_WARN | _FIRMWARE | _SPEC, function="kernel/panic.c __warn(), check_panic_on_warn()"
)
_EITHER = (_WARNS, _DIES)

EFFECTS: Mapping[str, tuple[Effect, ...]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "null_pointer", "page_fault", "kernel_fault", "exec_protected", "kasan_range", "bug_on", "bug_trap",
                "rust_panic", "stack_guard_oops", "stack_guard_page", "die_panic", "general_protection",
                "invalid_opcode", "divide_error", "internal_error", "oops", "trap_name", "xmon", "die",
            ),
            (_DIES,),
        ),
        **dict.fromkeys(("warning", "warning_split", "badness", "field_spanning_write", "low_memory"), (_WARNS,)),
        **dict.fromkeys(
            ("cfi_failure", "ubsan_trap", "list_corruption", "usercopy", "fortify", "refcount", "refcount_overflow"),
            _EITHER,
        ),
        "ubsan": (
            Effect(counter="warn_count", bits=_WARN, tainted=False, function="lib/ubsan.c ubsan_epilogue()"),
            _DIES,
        ),
        "kcsan": (Effect(counter="warn_count", function="kernel/kcsan/report.c print_report()"),),
        "kfence": (
            Effect(counter="warn_count", bits=_BAD_PAGE, function="mm/kfence/report.c kfence_report_error()"),
        ),
        # kasan_multi_shot keeps it from counting
        "kasan": (
            Effect(counter="warn_count", bits=_BAD_PAGE, counted=False, function="mm/kasan/report.c end_report()"),
        ),
        "kmsan": (Effect(bits=_BAD_PAGE, function="mm/kmsan/report.c kmsan_report()"),),
        "scheduling_while_atomic": (
            Effect(
                counter="warn_count", bits=_WARN, unless=("from the idle thread",),
                function="kernel/sched/core.c __schedule_bug()",
            ),
        ),
        "sleeping_in_atomic": (Effect(bits=_WARN, function="kernel/sched/core.c __might_resched()"),),
        "bad_page": (
            Effect(bits=_BAD_PAGE, function="mm/page_alloc.c bad_page(), mm/memory.c print_bad_pte()"),
        ),
        "slab_corruption": (
            Effect(
                bits=_BAD_PAGE, unless=("Slab corruption", "double free detected", "kfree_debugcheck", "SLUB "),
                function="mm/slub.c object_err(), slab_err()",
            ),
        ),
        "soft_lockup": (
            Effect(counter="softlockup_count", bits=_LOCKUP, function="kernel/watchdog.c watchdog_timer_fn()"),
        ),
        # arch/powerpc/kernel/watchdog.c has a detector and wordings of its own, and does not count
        "hard_lockup": (
            Effect(
                counter="hardlockup_count", unless=("self-detected", "on other CPUs"),
                function="kernel/watchdog.c watchdog_hardlockup_check()",
            ),
        ),
        "rcu_stall": (
            Effect(
                counter="rcu_stall_count", unless=("rcu_tasks", "suppressed full report"),
                function="kernel/rcu/tree_stall.h panic_on_rcu_stall()",
            ),
        ),
        "hung_task": (Effect(counter="hung_task_detect_count", function="kernel/hung_task.c check_hung_task()"),),
        # only uncorrected errors taint
        "mce": (Effect(bits=_MCE, tainted=False, function="arch/x86/kernel/cpu/mce/core.c do_machine_check()"),),
    }
)  # fmt: skip
"""What each kind of report does to the kernel's numbers, by signature; several: one of them."""

_PANIC = "panic"


@dataclass(frozen=True, slots=True)
class Decided:
    """An answer: confirmed (True), unconfirmed (False), or nothing can be told (None)."""

    confirmed: bool | None


def judge(
    report: KernelReport, readings: CounterReadings, *, begun_usec: int, complete_usec: int, now_usec: int
) -> Decided | None:
    """Say whether the kernel confirms a report; None: wait for later readings.

    All on CLOCK_MONOTONIC: when its first line was written, when it was complete, and now.
    """
    effects = _effects(report)
    if effects is None:
        return Decided(confirmed=None)
    since = begun_usec - CLOCK_USEC
    if any(_moved(effect, readings, since) for effect in effects):
        return Decided(confirmed=True)
    if not all(_counted(effect, readings) or _tainted(effect, readings, since) for effect in effects):
        return Decided(confirmed=None)
    settled = complete_usec + SETTLE_USEC
    if now_usec >= settled and all(_read_after(effect, readings, since, settled) for effect in effects):
        return Decided(confirmed=False)
    return Decided(confirmed=None) if now_usec >= complete_usec + GIVE_UP_USEC else None


def seen_once(report: KernelReport, readings: CounterReadings, *, begun_usec: int, complete_usec: int) -> bool:
    """Whether its numbers were read at least once after it was complete."""
    since = begun_usec - CLOCK_USEC
    return all(_read_after(effect, readings, since, complete_usec) for effect in _effects(report) or ())


def _effects(report: KernelReport) -> tuple[Effect, ...] | None:
    if report.signature.startswith(_PANIC):
        return ()
    effects = EFFECTS.get(report.signature)
    if effects is None:
        return None
    phrases = [phrase for effect in effects for phrase in effect.unless]
    return None if any(phrase in line for phrase in phrases for line in report.evidence[:2]) else effects


def _moved(effect: Effect, readings: CounterReadings, since: int) -> bool:
    return (effect.counter is not None and readings.rose(effect.counter, since)) or readings.gained(effect.bits, since)


def _counted(effect: Effect, readings: CounterReadings) -> bool:
    return effect.counted and effect.counter is not None and readings.has(effect.counter)


def _tainted(effect: Effect, readings: CounterReadings, since: int) -> bool:
    # A bit that was set before says nothing, and of several any may be the one.
    return (
        effect.tainted and effect.bits != 0 and readings.has(TAINTED)
        and not readings.before(TAINTED, since) & effect.bits
    )  # fmt: skip


def _read_after(effect: Effect, readings: CounterReadings, since: int, moment: int) -> bool:
    if _counted(effect, readings) and effect.counter is not None and readings.read_usec(effect.counter) >= moment:
        return True
    return _tainted(effect, readings, since) and readings.read_usec(TAINTED) >= moment
