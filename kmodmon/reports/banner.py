"""Decides whether a banner continues an open report or begins one of its own.

One failure may print several banners: the line of a detector before the WARN or BUG that it raises, the die line of an
oops, the panic that follows. And two failures may print at once, on two CPUs. The stage of a banner's signature decides
(`MatchStage`), in short:

stage      continues an open report that has not ended, when
PREFACE    near, without a trace, and of the same class or a plain WARN(); or near, and the same weak signature
HEADER     near, without a trace, and only a preface, or weak, or a BUG() that shows as a fault;
           or near, without a trace, of the same class, and both name the same CPU, task, file, line and function;
           or both are RCU stalls
DIE        near, without a trace, a fault or weak, and without a die line
LINE       of the same class
PANIC      a panic too, or of a class that the panic names as its cause (these may have ended);
           or a fault of the same caller

Near: within MAX_BANNER lines. Without a trace: no frame has come. Weak: `LogSignature.weak`.
"""

import re
from collections.abc import Mapping, Sequence

from kmodmon.events.report import ReportClass
from kmodmon.reports.draft import Draft
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.signatures.signature import LogSignature, MatchStage, SignatureMatch

MAX_BANNER = 40  # lines between the lines of one banner: an interrupted printk, a dump of page tables

_INLINED = re.compile(r"\[< +inlined? +>\]")  # written before the function by symbolizer.py of kernel-sanitizers

# A die line or a panic may follow from a report of these classes.
_FAULTS = frozenset(
    {
        ReportClass.OOPS,
        ReportClass.BUG,
        ReportClass.CORRUPTION,
        ReportClass.STACK_OVERFLOW,
        ReportClass.UBSAN,
        ReportClass.MACHINE_CHECK,
        ReportClass.REFCOUNT,
    }
)
# Reports of these classes dump the stacks of other CPUs: their lines may have another caller.
ALL_CPUS = frozenset(
    {
        ReportClass.RCU_STALL,
        ReportClass.SOFT_LOCKUP,
        ReportClass.HARD_LOCKUP,
        ReportClass.PANIC,
        ReportClass.WORKQUEUE_STALL,
    }
)
# Each banner of these classes is a report of its own.
_ONE_BANNER = frozenset(
    {ReportClass.HUNG_TASK, ReportClass.SOFT_LOCKUP, ReportClass.KASAN, ReportClass.KCSAN, ReportClass.KFENCE}
)
# A panic for one of these reasons follows from what was reported just before it.
_FOLLOWS = re.compile(
    r".*?(?:Fatal exception|panic_on_(?:warn|taint|oops|stackoverflow)|warned too often|Oopsed too often|hung_task|"
    r"softlockup|RCU Stall|LOCKUP|KASAN|kasan\.|KFENCE|"
    r"UBSAN|KCSAN|kmsan|[Mm]achine halted|Machine [Cc]heck|machine check|MCE|Aiee|Attempted to kill|Oops|"
    r"Unrecoverable|[Ss]tack overflow|stack-protector|Timeout: Not all|NMI|"
    r"[Oo]ut of memory|SError|hardware error|Unhandled exception|GHES|CFI|Fatal hardware|fs panic|panic forced|"
    r"EXT\d-fs|kernel stack|Exception|exception|BUG)"
)
_INDEPENDENT_PANICS = frozenset({"panic_no_root", "panic_no_init", "panic_sysrq"})  # never follow from a report
_PLACES = ("cpu", "comm", "file", "line", "function")  # where these differ, two banners are two reports


def find_continued(drafts: Sequence[Draft], line: LogLine, match: SignatureMatch, count: int) -> Draft | None:
    """Return the open report that a banner continues, the newest first; None: the banner begins a report.

    `drafts`: the open reports, the newest last; `count`: the assembler's count at `line`.
    """
    newest_first = tuple(reversed(drafts))
    if match.signature.stage is MatchStage.PANIC:
        return next((draft for draft in newest_first if _panics(draft, line, match)), None)
    candidates = [
        draft
        for draft in newest_first
        if not draft.ended and may_share(draft, line) and _continues(draft, match, count)
    ]
    # When two CPUs report at once, a banner belongs to the report of its own class.
    same_class = (draft for draft in candidates if draft.signature.report_class is match.signature.report_class)
    return next(same_class, None) or next(iter(candidates), None)


def may_be_same(left: str | None, right: str | None) -> bool:
    """Whether two facts agree; None: not known, which agrees with everything."""
    return left is None or right is None or left == right


def may_share(draft: Draft, line: LogLine) -> bool:
    """Whether the line may belong to the report, as far as its caller tells."""
    return may_be_same(draft.caller, line.caller) or draft.signature.report_class in ALL_CPUS or draft.panic


def join(draft: Draft, line: LogLine, text: str, match: SignatureMatch, count: int) -> None:
    """Add a banner to the report that it continues; the more specific signature of the two stays."""
    signature = match.signature
    banner = signature.stage is MatchStage.HEADER or signature.report_class is not draft.signature.report_class
    yields = draft.signature.weak and banner and signature.stage is not MatchStage.PANIC
    specific = _is_plain_warning(draft.signature) and signature.stage is MatchStage.PREFACE and not signature.weak
    if yields or specific:
        file = draft.groups.get("file")
        draft.groups = {**match.groups, "file": file} if file else dict(match.groups)
        draft.signature = signature
    if signature.stage is not MatchStage.PANIC:
        draft.add_banner(match)
    draft.header = draft.header or signature.stage is not MatchStage.PREFACE
    draft.died = draft.died or signature.stage is MatchStage.DIE
    if signature.stage is MatchStage.PANIC:
        draft.panic, draft.other = True, bool(draft.frames)
    draft.add_line(line, text, count)


def _panics(draft: Draft, line: LogLine, match: SignatureMatch) -> bool:
    if draft.panic or _follows(match, draft.signature):
        return True
    unfinished = not draft.ended and draft.signature.report_class in _FAULTS and draft.header
    independent = match.signature.name in _INDEPENDENT_PANICS
    return unfinished and not independent and may_be_same(draft.caller, line.caller)


def _follows(match: SignatureMatch, before: LogSignature) -> bool:
    # A panic that names its cause follows from a report of that kind; `Fatal exception` from any but a device's.
    report_class = before.report_class
    match match.signature.name:
        case "panic":
            if report_class is ReportClass.IO_ERROR or (
                report_class is ReportClass.OTHER and before.stage is MatchStage.LINE
            ):
                return False
            return _FOLLOWS.match(match.groups.get("what") or "") is not None
        case "panic_init_died":
            return report_class in _FAULTS
        case _:
            return report_class is match.signature.report_class and report_class is not ReportClass.PANIC


def _continues(draft: Draft, match: SignatureMatch, count: int) -> bool:
    signature = match.signature
    near = count - draft.at <= MAX_BANNER
    match signature.stage:
        case MatchStage.LINE:
            return draft.signature.report_class is signature.report_class
        case MatchStage.DIE:
            return (
                near
                and not draft.died
                and not _has_trace(draft)
                and (draft.signature.report_class in _FAULTS or draft.signature.weak)
            )
        case MatchStage.PREFACE:
            repeats = signature.weak and draft.signature.name == signature.name
            suits = draft.signature.report_class is signature.report_class or _is_plain_warning(draft.signature)
            return near and (repeats or (suits and not _has_trace(draft)))
        case _:
            return _banner_continues(draft, match, count)


def _has_trace(draft: Draft) -> bool:
    # A mail may have wrapped a banner before its function, which then looks like a trace of one entry.
    return bool(draft.frames) and not (len(draft.frames) == 1 and draft.traces == 0)


def _is_inlined_in(draft: Draft, signature: LogSignature, count: int) -> bool:
    # Decoded logs repeat a sanitizer's banner for each inlined function, and end with the function in the binary.
    before = draft.evidence[-1].rstrip()
    inlined = before.endswith("[inline]") or _INLINED.search(before) is not None
    return draft.signature.name == signature.name and count - draft.at <= 1 and inlined


def _banner_continues(draft: Draft, match: SignatureMatch, count: int) -> bool:
    signature = match.signature
    near = count - draft.at <= MAX_BANNER
    same = draft.signature.report_class is signature.report_class
    if _is_inlined_in(draft, signature, count):
        return True
    if not draft.header:
        return near and not _has_trace(draft)
    if same and signature.report_class is ReportClass.RCU_STALL:
        return True
    if near and not draft.frames and not draft.linked and _explains(draft.signature, signature):
        return True
    if not same or not near or draft.frames or signature.report_class in _ONE_BANNER:
        return draft.signature.weak and near and not draft.frames
    return all(may_be_same(_group(match.groups, name), _group(draft.groups, name)) for name in _PLACES)


def _group(groups: Mapping[str, str | None], name: str) -> str | None:
    return groups.get(name) or groups.get(f"{name}2")


def _explains(before: LogSignature, banner: LogSignature) -> bool:
    # Where BUG() has no trap instruction it writes through NULL: the fault that follows is the same report. A check
    # may print its own line and then WARN.
    if banner.report_class is ReportClass.OOPS:
        return before.report_class is ReportClass.BUG
    return banner.report_class is ReportClass.WARNING and before.name in ("bug_generic", "slab_corruption")


def _is_plain_warning(signature: LogSignature) -> bool:
    return signature.report_class is ReportClass.WARNING and not signature.weak
