"""WARN(): something that developers hold to be impossible has happened and the kernel went on.

Kernel files: kernel/panic.c __warn(), lib/bug.c. Specific warnings are in the tables of their themes, which come before
this one. The banner is `WARNING: CPU: N PID: N at FILE:LINE FUNC` up to 6.18; since Linux kernel commit 28ea295f941e
(in v6.19) it is `WARNING: FILE:LINE at FUNC, CPU#N: COMM/PID`, with the condition in brackets before the file under
CONFIG_DEBUG_BUGVERBOSE_DETAILED. FILE of an out-of-tree module is an absolute path up to 6.12, and relative in 7.2.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import FUNC, PLACE, LogSignature, MatchStage

_WHO = r"(?:CPU: \d+ PID: \d+ )?"
_ADVICE = "Read the lines above and below: the function and the module are where to ask. The kernel goes on."


def warning_at(files: str) -> str:
    """Return the pattern of a WARN banner, in every wording, for the source files that match `files`."""
    return (
        rf"(?:<\d>)?WARNING: {_WHO}(?:\[.*?\] )?(?:at )?(?P<file>(?:[\w./+@~-]*/)?(?:{files})):(?P<line>\d+)"
        rf"(?:[ /](?:at )?(?!at\b){FUNC})?"
    )


SIGNATURES: tuple[LogSignature, ...] = (
    LogSignature(
        name="warning", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        title="WARNING at {file}",
        contains=("WARNING: ",),
        pattern=rf"(?:<\d>)?WARNING: (?:CPU: (?P<cpu>\d+) PID: (?P<pid>\d+) )?(?:\[.*?\] )?(?:at )?{PLACE}(?:[ "
        rf"/](?:at )?(?!at\b){FUNC})?",
        help="WARN(): something that developers hold to be impossible has happened; the kernel went on.",
        advice=_ADVICE,
        origin="kernel/panic.c __warn()",
        wording="<= 6.18 `WARNING: CPU: N PID: N at FILE:LINE FUNC`; since 6.19 `WARNING: FILE:LINE at FUNC, CPU#N: "
        "COMM/PID`;"
        " <= 3.11 `WARNING: at FILE:LINE FUNC()`",
    ),
    LogSignature(
        name="warning", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        title="WARNING",
        contains=("WARNING: ",),
        pattern=rf"(?:<\d>)?WARNING: (?:CPU: (?P<cpu>\d+) PID: (?P<pid>\d+) )?(?:\[.*?\] )?at {FUNC}",
        help="WARN(): something that developers hold to be impossible has happened; the kernel went on.",
        advice=_ADVICE,
        origin="kernel/panic.c __warn()",
        wording="kernel without CONFIG_DEBUG_BUGVERBOSE",
    ),
    LogSignature(
        name="warning_split", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        title="WARNING",
        contains=("WARNING: ",),
        pattern=r"WARNING: CPU: (?P<cpu>\d+) PID: (?P<pid>\d+) at\b",
        help="WARN(): something that developers hold to be impossible has happened; the kernel went on.",
        advice=_ADVICE,
        origin="kernel/panic.c __warn()",
        wording="a banner that was cut or wrapped after `at`",
    ),
    LogSignature(
        name="badness", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        title="Badness",
        contains=("Badness ", "BUG: warning at ", "BUG: at "),
        pattern=rf"(?:<\d>)?(?:Badness (?:in (?P<function2>\w+) )?at|BUG: warning at|BUG: at) (?:{PLACE}|{FUNC})",
        help="WARN(): something that developers hold to be impossible has happened; the kernel went on.",
        advice=_ADVICE,
        origin="lib/kernel/dump_stack.c, include/asm-generic/bug.h",
        wording="`Badness in FUNC at FILE:LINE` (<= 2.6.17, powerpc longer), `BUG: warning at` (2.6.18), `BUG: at` "
        "(<= 2.6.22)",
    ),
    LogSignature(
        name="unwinder", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        title="WARNING: {what}",
        contains=("WARNING: kernel stack ", "WARNING: stack ", "WARNING: unrecognized unwind"),
        pattern=r"WARNING: (?P<what>kernel stack (?:regs|frame pointer)|stack (?:recursion|going in the wrong "
        r"direction\?)|"
        r"unrecognized unwind stack type)\b",
        help="The unwinder found a stack that does not look like one.",
        advice="Harmless by itself; with a fault near by, the stack was damaged.",
        origin="arch/x86/kernel/unwind_frame.c, unwind_orc.c",
    ),
    LogSignature(
        name="kmemcheck", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        title="WARNING: kmemcheck",
        contains=("WARNING: kmemcheck: ",),
        pattern=r"WARNING: kmemcheck: Caught ",
        help="Kernel code read memory that was never written.",
        advice=_ADVICE,
        origin="arch/x86/mm/kmemcheck/error.c",
        wording="2.6.31 to 4.14",
    ),
    LogSignature(
        name="debug_object", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        stage=MatchStage.PREFACE, weak=True,
        title="ODEBUG: {what}",
        contains=("ODEBUG: ",),
        pattern=r"ODEBUG: (?P<what>(?:free|init|activate|deactivate|destroy|assert_init|active_state) [a-z][a-z ]*) "
        r"\(active state \d+\)",
        help="A timer, a work item or the like was freed, or set up again, while it was in use.",
        advice="The object type and the hint name whose it is. " + _ADVICE,
        origin="lib/debugobjects.c debug_print_object()",
    ),
    LogSignature(
        name="dma_debug", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        stage=MatchStage.PREFACE, weak=True,
        title="DMA-API: {what}",
        contains=("DMA-API: ",),
        pattern=r"(?:[\w.-]+ [\w:.-]+: )?DMA-API: (?:[\w.-]+ [\w:.-]+: )?"
        r"(?P<what>device driver (?:frees|tries|maps|has|failed|syncs|does)\b|mapping sg segment (?:longer|across)|"
        r"cacheline tracking EEXIST|exceeded \d+ overlapping)",
        help="A driver handed memory to its device, or took it back, against the rules.",
        advice=_ADVICE,
        origin="kernel/dma/debug.c err_printk()",
    ),
    LogSignature(
        name="field_spanning_write", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        stage=MatchStage.PREFACE,
        weak=True, title="copy over the end of a field",
        contains=("detected field-spanning write",),
        pattern=r"\w{3,16}: detected field-spanning write \(size \d+\)",
        help="A copy ran over the end of one field of a structure into the next.",
        advice=_ADVICE,
        origin="include/linux/fortify-string.h fortify_memcpy_chk()",
        wording="since 6.1, the text of a WARN()",
    ),
    LogSignature(
        name="unchecked_msr", report_class=ReportClass.WARNING, severity=Severity.WARNING,
        title="access to a model-specific register that the processor lacks",
        contains=("unchecked MSR access error",),
        pattern=r"(?:<\d>)?unchecked MSR access error: (?:RDMSR|WRMSR) ",
        help="Kernel code read or wrote a processor register that is not there, or refuses the value.",
        advice="Often a virtual machine that does not offer the register; else update the kernel and the firmware.",
        origin="arch/x86/mm/extable.c ex_handler_msr()",
        wording="since 4.6, a trace without WARN()",
    ),
    LogSignature(
        name="netdev_watchdog", report_class=ReportClass.OTHER, severity=Severity.WARNING,
        stage=MatchStage.PREFACE, weak=True,
        title="NETDEV WATCHDOG: transmit queue timed out ({driver})",
        contains=("NETDEV WATCHDOG: ",),
        pattern=r"(?:[\w.-]+ [\w:.-]*[\w.-] (?P<dev>[^\s:]+): )?NETDEV WATCHDOG: "
        r"(?:CPU: \d+: |(?P<dev2>[^\s:]\S*?)(?: \((?P<driver>[\w-]*)\))?: )?"
        r"transmit (?:queue \d+ )?timed out",
        help="A network card did not report packets as sent for seconds.",
        advice="Look at the link, the cable, the card's firmware and its driver.",
        origin="net/sched/sch_generic.c dev_watchdog()",
        wording="since 6.6 a line of its own, before that the text of a WARN()",
    ),
    LogSignature(
        name="duplicate_name", report_class=ReportClass.OTHER, severity=Severity.WARNING,
        stage=MatchStage.PREFACE, weak=True,
        title="duplicate name in sysfs",
        contains=("sysfs: cannot create duplicate", "kobject_add_internal failed for", "proc_dir_entry '"),
        pattern=r"(?:sysfs: cannot create duplicate filename |(?:kobject: )?kobject_add_internal failed for |"
        r"proc_dir_entry '.*' already registered)",
        help="Something was registered twice under one name; the second one failed.",
        advice=_ADVICE,
        origin="fs/sysfs/dir.c sysfs_warn_dup(), lib/kobject.c",
        wording="since 4.18 a trace without WARN()",
    ),
    LogSignature(
        name="assertion", report_class=ReportClass.OTHER, severity=Severity.ERROR, stage=MatchStage.PREFACE, weak=True,
        title="assertion failed",
        contains=("ssertion failed",),
        pattern=r"(?:XFS(?: \([^)]*\))?: |\[drm\] |BTRFS: |assertion|ASSERTION)?\s?[Aa]ssertion [Ff]ailed[:!( ]",
        help="A developer's assertion about the kernel's own state did not hold.",
        advice=_ADVICE,
        origin="fs/xfs/xfs_message.c asswarn()",
    ),
)  # fmt: skip
