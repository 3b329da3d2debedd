"""The lock validator and the checks of locks themselves.

Kernel files: kernel/locking/lockdep.c, spinlock_debug.c, mutex-debug.c, rtmutex*.c; kernel/rcu (suspicious usage).
Lockdep's banners begin with `WARNING:`, before 4.14 with `[ INFO:` or `[ BUG:`, and are no WARN().
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import LogSignature, MatchStage
from kmodmon.reports.signatures.warning import warning_at

_LOCKDEP = ReportClass.LOCKDEP
_WORD = r"(?:\[ ?)?(?:WARNING|INFO|BUG): "
_ADVICE = "A deadlock that can happen, found before it does: report the whole text to the authors of those functions."


def _lockdep(name: str, title: str, contains: tuple[str, ...], text: str, help_: str) -> LogSignature:
    return LogSignature(
        name=name,
        report_class=_LOCKDEP,
        severity=Severity.WARNING,
        title=title,
        contains=contains,
        pattern=_WORD + text,
        help=help_,
        advice=_ADVICE,
        origin="kernel/locking/lockdep.c",
        wording="before 4.14 in `[ INFO: ... ]` or `[ BUG: ... ]`",
    )


SIGNATURES: tuple[LogSignature, ...] = (
    _lockdep(
        "lockdep_circular", "possible circular locking dependency",
        ("circular locking d",), r"(?:possible )?circular locking d(?:ependency|eadlock)",
        "Two locks are taken in both orders.",
    ),
    _lockdep(
        "lockdep_recursive", "possible recursive locking",
        ("recursive locking detected", "possible deadlock detected!"),
        r"possible (?:recursive locking|deadlock) detected",
        "A task takes a lock of a class that it already holds.",
    ),
    _lockdep(
        "lockdep_irq_inversion", "possible irq lock inversion dependency",
        ("lock inversion dependency",), r"possible (?:irq|interrupt) lock inversion dependency",
        "A lock used in interrupts depends on one taken with interrupts on.",
    ),
    _lockdep(
        "lockdep_irq_order", "{kind} lock order",
        ("lock order detected",), r"(?P<kind>[\w-]+-(?:irq-)?safe -> [\w-]+-(?:irq-)?unsafe) lock order detected",
        "A lock that interrupts use depends on one that is taken with interrupts on.",
    ),
    _lockdep(
        "lockdep_inconsistent", "inconsistent lock state",
        ("inconsistent lock state", "illegal lock usage!"), r"(?:inconsistent lock state|illegal lock usage)",
        "A lock is taken both in an interrupt and with interrupts on.",
    ),
    _lockdep(
        "lockdep_unlock_balance", "bad unlock balance",
        ("bad unlock balance",), r"bad unlock balance detected",
        "A task released a lock that it did not hold.",
    ),
    _lockdep(
        "lockdep_lock_freed", "held lock freed",
        ("held lock freed",), r"held lock freed",
        "Memory was freed while a lock in it was held.",
    ),
    _lockdep(
        "lockdep_nested", "nested lock was not taken",
        ("ested lock was not taken",), r"[Nn]ested lock was not taken",
        "A nested lock was taken without the lock that makes it safe.",
    ),
    _lockdep(
        "lockdep_locks_held", "locks still held",
        ("locks held", "lock held when returning", "lock held at task exit", "locks still held"),
        r"(?:.{1,24}/\d+ (?:still has locks held|, possible)|lock held when returning to user space|lock held at "
        r"task exit|"
        r".{1,24}/\d+ is leaving the kernel with locks still held)",
        "A task left the kernel, or ended, with a lock in its hands.",
    ),
    _lockdep(
        "lockdep_contention", "bad contention",
        ("bad contention detected",), r"bad contention detected",
        "A task waited for a lock that nobody holds.",
    ),
    _lockdep(
        "lockdep_chain_key", "chain_key collision",
        ("chain_key collision",), r"chain_key collision",
        "Two chains of locks have the same hash: lockdep itself.",
    ),
    _lockdep(
        "lockdep_wait_context", "invalid wait context",
        ("nvalid wait context",), r"[Ii]nvalid wait context",
        "A sleeping lock is taken where only spinning is allowed.",
    ),
    _lockdep(
        "suspicious_rcu", "suspicious RCU usage",
        ("suspicious RCU usage", "suspicious rcu_dereference"), r"suspicious (?:RCU usage|rcu_dereference)",
        "RCU-protected data was used without the protection.",
    ),
    LogSignature(
        name="suspicious_rcu", report_class=_LOCKDEP, severity=Severity.WARNING, title="suspicious RCU usage",
        contains=("suspicious rcu_dereference",),
        pattern=r"[\w./-]+:\d+ suspicious rcu_dereference\w*\(\) usage",
        help="RCU-protected data was used without the protection.",
        advice=_ADVICE, origin="kernel/locking/lockdep.c lockdep_rcu_suspicious()", wording="the banner was lost",
    ),
    _lockdep(
        "lockdep_non_static_key", "register non-static key",
        ("trying to register non-static key",), r"trying to register non-static key",
        "A lock was used before it was initialised.",
    ),
    _lockdep(
        "lockdep_limit", "lockdep limit {kind}",
        ("BUG: MAX_", "BUG: looking up invalid subclass", "BUG: key "),
        r"(?P<kind>MAX_\w+) too low|(?:\[ ?)?BUG: (?:looking up invalid subclass|key \S+ (?:not in \.data|has not "
        r"been registered))",
        "Lockdep ran out of its tables, or was called with a key that it does not know.",
    ),
    LogSignature(
        name="spinlock_debug", report_class=_LOCKDEP, severity=Severity.ERROR,
        title="BUG: {kind}",
        contains=("BUG: spinlock ", "BUG: rwlock", "BUG: write-lock", "BUG: mutex", "BUG: rt_mutex", "BUG: rwlock-",
                  "BUG: rwsem", "BUG: sem", "BUG: raw_spinlock"),
        pattern=r"(?:\[ ?)?BUG: (?P<kind>(?:raw_)?spinlock (?:bad magic|lockup(?: suspected)?|recursion|already "
        r"unlocked|trylock failure|"
        r"wrong (?:owner|CPU|cpu)|cpu recursion|uninitialized)|rwlock (?:bad magic|lockup|wrong|recursion|cpu)|"
        r"write-lock lockup|rwlock-\w+|rt_mutex|mutex|rwsem|semaphore)",
        help="A spinning lock is damaged, was never initialised, or is taken twice by the same CPU.",
        advice="Look at the function that takes the lock; the memory around it may be corrupted.",
        origin="kernel/locking/spinlock_debug.c spin_dump()",
    ),
    LogSignature(
        name="lockdep_leaked_work", report_class=_LOCKDEP, severity=Severity.ERROR,
        title="workqueue leaked lock or atomic",
        contains=("BUG: workqueue leaked",),
        pattern=r"BUG: workqueue leaked (?:atomic, |lock)",
        help="A work function ended with a lock held or preemption off.",
        advice=_ADVICE,
        origin="kernel/workqueue.c process_one_work()",
    ),
    LogSignature(
        name="lock_warning", report_class=_LOCKDEP, severity=Severity.WARNING,
        title="locking bug",
        contains=("WARNING: ",),
        pattern=warning_at(r"kernel/(?:locking/)?(?:lockdep|mutex-debug|rtmutex-debug|rtmutex_common|rwsem|mutex|"
        r"rtmutex|irqflag-debug|"
                           r"percpu-rwsem|qspinlock\w*|semaphore)\.[ch]|locking/\w+\.[ch]|lockdep\.[ch]"),
        help="A check of the lock validator did not hold.",
        advice=_ADVICE,
        origin="kernel/locking/lockdep.c DEBUG_LOCKS_WARN_ON()",
    ),
    LogSignature(
        name="debug_locks", report_class=_LOCKDEP, severity=Severity.WARNING, stage=MatchStage.PREFACE,
        title="locking bug",
        contains=("DEBUG_LOCKS_WARN_ON(", "DEBUG_RWSEMS_WARN_ON("),
        pattern=r"DEBUG_(?:LOCKS|RWSEMS)_WARN_ON\(",
        help="A check of the lock validator did not hold.",
        advice=_ADVICE,
        origin="include/linux/debug_locks.h",
    ),
)  # fmt: skip
