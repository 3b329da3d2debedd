"""Kernel panic: the kernel stopped the machine.

Kernel file: kernel/panic.c panic(). A panic that follows from another report only marks that report; these signatures
are for a panic without one, or for the line that begins a report. Messages with limits exist since the sysctls do:
`system warned too often` (kernel.warn_limit) and `Oopsed too often` (kernel.oops_limit), both 6.2 and backports.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import FUNC, LogSignature, MatchStage

_PANIC = r"(?:<\d>)?Kernel [Pp]anic(?: --? not syncing ?)?: "
_LITERAL = ("Kernel panic", "Kernel Panic")
_BOOT = "Give the right `root=` on the command line and see that the initramfs has the drivers for that disk."


def _panic(name: str, report_class: ReportClass, title: str, text: str, help_: str, advice: str) -> LogSignature:
    return LogSignature(
        name=name,
        report_class=report_class,
        severity=Severity.CRITICAL,
        stage=MatchStage.PANIC,
        title=title,
        contains=_LITERAL,
        pattern=_PANIC + text,
        help=help_,
        advice=advice,
        origin="kernel/panic.c panic()",
        wording="since 2.6.6 `Kernel panic - not syncing: `, before that `Kernel panic: `",
    )


SIGNATURES: tuple[LogSignature, ...] = (
    _panic(
        "panic_stack_protector", ReportClass.CORRUPTION, "kernel stack is corrupted",
        rf"(?:Attempted|stack-protector): Kernel stack is corrupted in: {FUNC}",
        "A function found its stack canary overwritten: a buffer on the stack overflowed.",
        "Suspect the module of the function named, or of the first frames of the trace.",
    ),
    _panic(
        "panic_stack_end", ReportClass.STACK_OVERFLOW, "corrupted stack end",
        r"(?:corrupted (?:shadow )?stack end|kernel stack overflow|[Kk]ernel stack overflow|low stack detected|"
        r"Kernel stack underflow|stack overflow)",
        "The kernel stack of a task ran over its end.",
        "Look for recursion and big local variables in the functions of the trace.",
    ),
    _panic(
        "panic_hard_lockup", ReportClass.HARD_LOCKUP, "hard lockup",
        r"(?:Watchdog detected hard LOCKUP|Hard LOCKUP|nmi watchdog|NMI Watchdog detected LOCKUP)",
        "A CPU did not take interrupts for seconds, and the kernel is set to panic then.",
        "Read the trace of that CPU: it holds a lock or loops with interrupts off.",
    ),
    _panic(
        "panic_soft_lockup", ReportClass.SOFT_LOCKUP, "soft lockup", r"softlockup: hung tasks",
        "A CPU ran kernel code without scheduling, and the kernel is set to panic then.",
        "Read the trace of that CPU.",
    ),
    _panic(
        "panic_hung_task", ReportClass.HUNG_TASK, "hung task", r"hung_task: blocked tasks",
        "A task waited too long in the kernel, and the kernel is set to panic then.",
        "Read the `INFO: task ... blocked` report before it.",
    ),
    _panic(
        "panic_rcu_stall", ReportClass.RCU_STALL, "RCU stall", r"RCU Stall",
        "An RCU grace period did not end, and the kernel is set to panic then.",
        "Read the RCU stall report before it.",
    ),
    _panic(
        "panic_machine_check", ReportClass.MACHINE_CHECK, "fatal machine check",
        r"(?:Fatal [Mm]achine check|Machine [Cc]heck|Uncorrected machine check|Timeout: Not all CPUs entered broadcast|"
        r"Fatal hardware error|MCE|Panicing machine check|Unable to continue|Hardware Error|Unrecoverable [Mm]achine|"
        r"EDAC|UE |.*[Uu]ncorrect(?:ed|able) (?:hardware |memory )?[Ee]rror|AER: unrecoverable|"
        r"Asynchronous SError Interrupt|High Priority Machine Check|Memory failure|Fatal local machine check|"
        r"Caught Machine Check exception|CPU context corrupt)",
        "The hardware reported an error that the kernel cannot go on after.",
        "Read the machine check records (rasdaemon, mcelog, the management controller) and replace the part they name.",
    ),
    _panic(
        "panic_nmi", ReportClass.NMI, "NMI",
        r"(?:(?:\w+: )?NMI: Not continuing|NMI IOCK error|An NMI occurred|NMI:)",
        "A non-maskable interrupt told of a hardware error, and the kernel is set to panic then.",
        "Read the management controller's log.",
    ),
    _panic(
        "panic_oom", ReportClass.OOM, "out of memory",
        r"(?:[Oo]ut of memory[:,]|[Oo]ut of memory and no killable|System is deadlocked on memory|"
        r"[Ss]ystem is deadlocked on memory|Out of memory\.)",
        "No memory was left and nothing that could be killed, or the kernel is set to panic then.",
        "Find what used the memory in the table before it.",
    ),
    _panic(
        "panic_sanitizer", ReportClass.KASAN, "KASAN report", r"(?:KASAN: panic_on_warn|kasan\.fault=panic)",
        "KASAN found a bad memory access, and the kernel is set to panic then.",
        "Read the KASAN report before it.",
    ),
    _panic(
        "panic_no_root", ReportClass.PANIC, "no root file system",
        r"(?:VFS: Unable to mount root fs|No filesystem could mount root|VFS: Unable to (?:create|open) )",
        "The kernel found no root file system to start from.", _BOOT,
    ),
    _panic(
        "panic_init_died", ReportClass.PANIC, "init was killed",
        r"(?:Attempted to kill init|Aiee, killing interrupt handler|Attempted to kill the idle task)",
        "The first process ended; without it there is no system.",
        "Read what init printed, or the oops before it.",
    ),
    _panic(
        "panic_no_init", ReportClass.PANIC, "no working init",
        r"(?:No (?:working )?init found|Requested init )",
        "The root file system holds no program to start as init.", _BOOT,
    ),
    _panic(
        "panic_sysrq", ReportClass.PANIC, "crash requested through sysrq",
        r"sysrq triggered crash",
        "Somebody asked for a crash (`echo c > /proc/sysrq-trigger`).",
        "Intended, as a rule: a test of the crash dump. Find who asked.",
    ),
    _panic(
        "panic_filesystem", ReportClass.FILESYSTEM, "panic by a file system",
        r"(?:EXT\d-fs|.*\(device [^)]*\): panic forced|BTRFS panic|\w+-fs \(|OCFS2:|REISERFS|XFS)",
        "A file system is mounted with `errors=panic` and found itself damaged.",
        "Check the disk, then the file system (fsck).",
    ),
    _panic(
        "panic", ReportClass.PANIC, "Kernel panic: {what}", r"(?P<what>.*)",
        "The kernel met a state it cannot go on from and stopped.",
        "Read the lines before it.",
    ),
    LogSignature(
        name="panic", report_class=ReportClass.PANIC, severity=Severity.CRITICAL, stage=MatchStage.PANIC,
        title="Kernel panic", contains=("Kernel panic",), pattern=r"(?:<\d>)?Kernel panic(?: - not syncing)?[:!.]?\s*$",
        help="The kernel met a state it cannot go on from and stopped.", advice="Read the lines before it.",
        origin="kernel/panic.c panic()",
    ),
)  # fmt: skip
