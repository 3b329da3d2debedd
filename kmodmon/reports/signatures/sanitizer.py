"""Checkers built into the kernel: KASAN, KFENCE, KMSAN, KCSAN, UBSAN, reference counts, kmemleak.

Kernel files: mm/kasan/report.c, mm/kfence/report.c, mm/kmsan/report.c, kernel/kcsan/report.c, lib/ubsan.c,
lib/refcount.c, mm/kmemleak.c. KFENCE exists since 5.12, KMSAN since 6.1. Wordings that changed:

- UBSAN: `Undefined behaviour in FILE:LINE:COL` in 4.18, the kind instead (`array-index-out-of-bounds in ...`) in 5.10
  and later. Lines of `=` enclose the report up to 6.1, later the cut line and `end trace`.
- KASAN: `double-free or invalid-free` in 4.18; later `double-free`, `invalid-free`, `slab-use-after-free` and others.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import FUNC, PLACE, LogSignature, MatchStage
from kmodmon.reports.signatures.warning import warning_at

_FIX = "The function named uses the memory wrongly: report it to the module's authors with the whole text."

SIGNATURES: tuple[LogSignature, ...] = (
    LogSignature(
        name="kasan", report_class=ReportClass.KASAN, severity=Severity.CRITICAL,
        title="KASAN: {kind}",
        contains=("BUG: KASAN", "BUG: KASan"),
        pattern=rf"(?:\[ )?BUG: KAS[Aa][Nn]: (?P<kind>[a-z][a-z -]*?(?:-free)?)(?: in {FUNC}|(?: on address| at addr|"
        r" \(| by |$))",
        help="Kernel code used memory that is not its own: out of bounds, after it was freed, or freed twice.",
        advice=_FIX,
        origin="mm/kasan/report.c print_error_description()",
        wording="4.0 to 4.2 `BUG: KASan: use after free in`; since 6.3 `slab-use-after-free`",
    ),
    LogSignature(
        name="kfence", report_class=ReportClass.KFENCE, severity=Severity.CRITICAL,
        title="KFENCE: {kind}",
        contains=("BUG: KFENCE: ",),
        pattern=r"BUG: KFENCE: (?P<kind>(?:out-of-bounds|use-after-free|memory corruption|invalid(?! free)|invalid "
        r"free)"
        rf"(?: read| write)?)(?: in {FUNC})?",
        help="Kernel code used memory that is not its own; found by sampling.",
        advice=_FIX,
        origin="mm/kfence/report.c kfence_report_error()",
        wording="since 5.12",
    ),
    LogSignature(
        name="kmsan", report_class=ReportClass.KMSAN, severity=Severity.ERROR,
        title="KMSAN: {kind}",
        contains=("BUG: KMSAN: ",),
        pattern=rf"BUG: KMSAN: (?P<kind>[a-z][a-z -]*?)(?: in ?(?:\[<\s+\w+\s+>\] )?{FUNC}|$)",
        help="Kernel code used memory that was never written, or showed it to user space.",
        advice=_FIX,
        origin="mm/kmsan/report.c kmsan_report()",
        wording="since 6.1",
    ),
    LogSignature(
        name="kcsan", report_class=ReportClass.KCSAN, severity=Severity.WARNING,
        title="KCSAN: {kind}",
        contains=("BUG: KCSAN: ", "ThreadSanitizer: "),
        pattern=rf"(?:BUG: KCSAN: (?P<kind>data-race|assert: race)\b(?: in {FUNC})?|(?:BUG: |ERROR: )?ThreadSanitizer: "
        r"(?P<kind2>data-race) in [\w.]+$)",
        help="Two CPUs used the same memory at once without marking it.",
        advice="A data race, not always a fault: report it to the authors of the functions named.",
        origin="kernel/kcsan/report.c print_report()",
        wording="since 5.8; its forerunner KTSAN, never merged, `ThreadSanitizer: data-race in`",
    ),
    LogSignature(
        name="ubsan", report_class=ReportClass.UBSAN, severity=Severity.ERROR,
        title="UBSAN: {kind} in {file}",
        contains=("UBSAN: ",),
        pattern=rf"(?:Internal error: )?UBSAN: (?P<kind>[Uu]ndefined behaviour|[a-z][a-z -]*?) in {PLACE}",
        help="Kernel code did what the C language leaves undefined: an index out of bounds, an impossible shift.",
        advice="Array indexes can be old-style flexible arrays (harmless) or real overruns: report to the driver's "
        "authors.",
        origin="lib/ubsan.c ubsan_prologue()",
        wording="<= 5.9 `UBSAN: Undefined behaviour in FILE:LINE:COL`; since `UBSAN: KIND in FILE:LINE:COL`",
    ),
    LogSignature(
        name="ubsan_trap", report_class=ReportClass.UBSAN, severity=Severity.ERROR,
        title="UBSAN: {kind}",
        contains=("UBSAN: ",),
        pattern=r"(?:Internal error: Oops - |Internal error: |Oops - )?UBSAN: "
        r"(?P<kind>(?:array|shift|integer|signed|unsigned|division|divrem|addition|subtraction|multiplication|negation|"
        r"negate|object|type|unknown|unreachable|pointer|misaligned|load|out|implicit|nonnull)[a-z -]*)"
        r"(?:: [0-9a-f]+)?(?: \[#\d+\]|$)",
        help="Kernel code did what the C language leaves undefined (trapping build).",
        advice=_FIX,
        origin="arch/arm64/kernel/traps.c ubsan_handler()",
        wording="since 6.8",
    ),
    LogSignature(
        name="refcount", report_class=ReportClass.REFCOUNT, severity=Severity.ERROR, stage=MatchStage.PREFACE,
        title="refcount_t: {kind}",
        contains=("refcount_t: ",),
        pattern=r"refcount_t: (?P<kind>addition on 0|decrement hit 0|increment on 0|saturated|underflow); "
        r"(?:use-after-free|leaking memory)",
        help="A reference count was used after it fell to zero, fell below it, or overflowed.",
        advice="The object may have been freed while in use. " + _FIX,
        origin="lib/refcount.c refcount_warn_saturate()",
    ),
    LogSignature(
        name="refcount", report_class=ReportClass.REFCOUNT, severity=Severity.ERROR,
        title="refcount_t warning",
        contains=("WARNING: ",),
        pattern=warning_at(r"lib/refcount\.c|refcount\.c|include/linux/kref\.h|kref\.h|lib/kref\.c|rcuref\.c"),
        help="A reference count was used after it fell to zero, fell below it, or overflowed.",
        advice="The object may have been freed while in use. " + _FIX,
        origin="lib/refcount.c refcount_warn_saturate(), include/linux/kref.h",
    ),
    LogSignature(
        name="refcount_overflow", report_class=ReportClass.REFCOUNT, severity=Severity.ERROR, stage=MatchStage.PREFACE,
        title="refcount error",
        contains=("refcount ",),
        pattern=r"refcount (?:error|overflow detected) (?:in|at) |refcount overflow detected in: ",
        help="A reference count overflowed (x86 fast checks).",
        advice=_FIX,
        origin="kernel/panic.c refcount_error_report()",
        wording="4.14 to 5.4",
    ),
    LogSignature(
        name="kmemleak", report_class=ReportClass.LEAK, severity=Severity.WARNING, stage=MatchStage.LINE,
        title="kmemleak: suspected memory leaks",
        contains=("new suspected memory leaks",),
        pattern=r"(?:kmemleak: )?\d+ new suspected memory leaks",
        help="Memory was found that nothing points to any more.",
        advice="Read /sys/kernel/debug/kmemleak: the backtrace says who allocated it.",
        origin="mm/kmemleak.c kmemleak_scan()",
    ),
    LogSignature(
        name="memory_leak", report_class=ReportClass.LEAK, severity=Severity.WARNING,
        title="memory leak",
        contains=("BUG: memory leak", "unreferenced object ", "leaked reference"),
        pattern=r"(?:BUG: memory leak|(?:kmemleak: )?unreferenced object (?:0x|\(ptrval\)|percpu))",
        help="Memory was found that nothing points to any more.",
        advice="The backtrace below says who allocated it.",
        origin="mm/kmemleak.c print_unreferenced()",
    ),
)  # fmt: skip
