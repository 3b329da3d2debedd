"""Assembles reports from lines: which line opens a report, which belongs to it, which ends it.

No kernel document defines where a report begins and ends. A banner opens a report; lines that look like the body of a
report belong to it; an end marker, another banner, a number of foreign lines or a gap in time ends it. Where records
carry a caller (CONFIG_PRINTK_CALLER, since 5.1), lines of other callers do not belong to it. Facts:

- After `---[ end trace ]---` x86 prints RIP and registers again, those of the *first* oops since boot: dropped.
- A panic that follows from a report (`Fatal exception`, `panic_on_warn set`) ends that report, with one more dump.
- A detector (list, refcount, usercopy) prints its own line before the banner of the WARN or BUG that it raises; old
  kernels, whose WARN is no trap, print it after the banner.
- An x86 oops has a second line: `Oops: 0002 [#1]` up to 6.8, `Oops: Oops: 0002 [#1]` in 6.11 and later.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kmodmon.events.report import ReportClass
from kmodmon.reports.body import LineKind, kind_of, parse_task
from kmodmon.reports.draft import MAX_LINES, MAX_TEXT, Draft
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.signatures.signature import LogSignature, MatchStage, SignatureMatch
from kmodmon.reports.signatures.table import match_line
from kmodmon.types.text import bounded

MAX_OPEN = 8
MAX_FOREIGN = 64  # foreign lines in a row that end a report
MAX_CUT = 12  # lines between a `cut here` line and its banner
MAX_BANNER = 40  # lines between the lines of one banner: an interrupted printk, a dump of page tables
GAP_USEC = 5_000_000
LONG_GAP_USEC = 30_000_000  # stalls dump the stacks of other CPUs with pauses, slow consoles stretch them
REBOOT_USEC = 60_000_000  # printk's clock went back by more than CPUs differ: the log of another boot

_INLINED = re.compile(r"\[< +inlined? +>\]")  # written before the function by symbolizer.py of kernel-sanitizers
_RUN = " " * 24
_BLANKS = re.compile(" {24,}")

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
_ALL_CPUS = frozenset(
    {
        ReportClass.RCU_STALL,
        ReportClass.SOFT_LOCKUP,
        ReportClass.HARD_LOCKUP,
        ReportClass.PANIC,
        ReportClass.WORKQUEUE_STALL,
    }
)
_SLOW = _ALL_CPUS | {ReportClass.HUNG_TASK, ReportClass.OOM}
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


@dataclass(slots=True, kw_only=True)
class Assembler:
    """The unfinished reports, and what decides where the next line belongs. Mutable: a state keeps a copy unchanged."""

    open: list[Draft] = field(default_factory=list)  # the one with the newest line or banner last
    cut: LogLine | None = None  # a `cut here` line whose banner has not come yet
    cut_at: int = 0  # value of `count` at that line
    count: int = 0  # kernel lines that were added, empty ones left out
    panicked: bool = False  # a panic was recognized: its end marker opens no report of its own
    closed: list[Draft] = field(default_factory=list)  # complete, until take_closed()

    def copy(self) -> "Assembler":
        """Return a copy that can be added to while this one stays as it is."""
        return replace(self, open=[draft.copy() for draft in self.open], closed=list(self.closed))

    def add(self, line: LogLine, text: str) -> SignatureMatch | None:
        """Add one kernel line; return its match when it is a notice, which is no part of a report."""
        if not text or text.isspace():
            return None  # not counted: some ways of saving a log put an empty line behind each
        self.count += 1
        if self.open:
            self._expire(line)
        match = match_line(text.lstrip(" "))
        if match is not None and match.signature.stage is MatchStage.NOTICE:
            return match
        if match is not None:
            self._add_banner(line, text, match)
        elif self.open:
            self._add_body(line, text)
        else:
            self._add_outside(line, text)
        return None

    def close_all(self) -> None:
        """Close every report: the log ended, or no line came for some time."""
        self.closed += self.open
        self.open.clear()
        self.cut = None

    def take_closed(self) -> list[Draft]:
        """Return the complete reports and forget them."""
        closed, self.closed = self.closed, []
        return closed

    def drop_stale_cut(self) -> None:
        """Forget a `cut here` line that is too far back for a banner."""
        if not self.open and self.count - self.cut_at > MAX_CUT:
            self.cut = None

    # Ends.

    def _expire(self, line: LogLine) -> None:
        kept: list[Draft] = []
        for draft in self.open:
            (self.closed if self._is_over(draft, line) else kept).append(draft)
        self.open[:] = kept

    def _is_over(self, draft: Draft, line: LogLine) -> bool:
        if self.count - draft.at > MAX_FOREIGN or draft.lines > MAX_LINES:
            return True
        if line.printk_usec is None or draft.last.printk_usec is None:
            return False
        passed = line.printk_usec - draft.last.printk_usec
        return passed > (LONG_GAP_USEC if draft.signature.report_class in _SLOW else GAP_USEC) or passed < -REBOOT_USEC

    def _add_outside(self, line: LogLine, text: str) -> None:
        if text[:1] not in "-=8<":
            return
        kind = kind_of(text, LineKind.FOREIGN)
        if kind is LineKind.CUT:
            self.cut, self.cut_at = line, self.count
        elif kind is LineKind.END_PANIC and not self.panicked:
            match = match_line(text[text.index("Kernel panic") :])
            if match is not None:  # the log begins, or was cut, in the middle of the panic: only its end is there
                self._begin(line, text, match)

    # Banners.

    def _add_banner(self, line: LogLine, text: str, match: SignatureMatch) -> None:
        stage = match.signature.stage
        if self._is_echo(text):
            self.open[-1].add_line(line, text, self.count)
            return
        draft = self._panicking(line, match) if stage is MatchStage.PANIC else self._continued(line, match)
        if draft is None:
            self._begin(line, text, match)
        else:
            _join(draft, line, text, match, self.count)
            self._to_front(draft)
        self.panicked = self.panicked or stage is MatchStage.PANIC

    def _is_echo(self, text: str) -> bool:
        # Two consoles on one line print every line twice.
        newest = self.open[-1] if self.open else None
        return newest is not None and self.count - newest.at <= 1 and newest.evidence[-1:] == [bounded(text, MAX_TEXT)]

    def _begin(self, line: LogLine, text: str, match: SignatureMatch) -> None:
        signature = match.signature
        cut = self.cut
        near = cut is not None and self.count - self.cut_at <= MAX_CUT and _may_be_same(cut.caller, line.caller)
        first = cut if cut is not None and near and signature.stage is not MatchStage.LINE else line
        draft = Draft(
            signature=signature,
            groups=match.groups,
            first=first,
            last=line,
            at=self.count,
            caller=line.caller,
            header=signature.stage is not MatchStage.PREFACE,
            died=signature.stage is MatchStage.DIE,
            panic=signature.stage is MatchStage.PANIC,
        )
        draft.add_banner(match)
        draft.add_line(line, text, self.count)
        self.cut = None
        self.open.append(draft)
        if len(self.open) > MAX_OPEN:
            self.closed.append(self.open.pop(0))

    def _continued(self, line: LogLine, match: SignatureMatch) -> Draft | None:
        candidates = [
            draft
            for draft in reversed(self.open)
            if not draft.ended and _may_share(draft, line) and _continues(draft, match, self.count)
        ]
        # When two CPUs report at once, a banner belongs to the report of its own class.
        same_class = (draft for draft in candidates if draft.signature.report_class is match.signature.report_class)
        return next(same_class, None) or next(iter(candidates), None)

    def _panicking(self, line: LogLine, match: SignatureMatch) -> Draft | None:
        independent = match.signature.name in _INDEPENDENT_PANICS
        for draft in reversed(self.open):
            if draft.panic or _follows(match, draft.signature):
                return draft
            unfinished = not draft.ended and draft.signature.report_class in _FAULTS and draft.header
            if unfinished and not independent and _may_be_same(draft.caller, line.caller):
                return draft
        return None

    def _to_front(self, draft: Draft) -> None:
        self.open.remove(draft)
        self.open.append(draft)

    # Bodies.

    def _add_body(self, line: LogLine, text: str) -> None:
        if _RUN in text:
            text = _BLANKS.sub(_RUN, text)  # the expressions of bodies are quadratic in runs of blanks
        draft = self._owner(line, text)
        if draft is None:
            self._add_outside(line, text)
            return
        kind = (
            LineKind.MODULES
            if line.continuation and draft.previous is LineKind.MODULES
            else kind_of(text, draft.previous)
        )
        match kind:
            case LineKind.FOREIGN:
                return
            case LineKind.CUT:
                self._add_cut(draft, line, text)
            case LineKind.END | LineKind.END_PANIC:
                draft.add_line(line, text, self.count)
                draft.ended = True
                draft.panic = draft.panic or kind is LineKind.END_PANIC
            case _ if draft.ended and not draft.panic:
                return  # the registers of the first oops again, or the exit note: they belong to no report
            case _:
                draft.add_body(kind, text)
                draft.add_line(line, text, self.count)

    def _add_cut(self, draft: Draft, line: LogLine, text: str) -> None:
        if text.startswith("=") and draft.lines > 3:
            draft.add_line(line, text, self.count)
            draft.ended = True
        self.cut, self.cut_at = line, self.count

    def _owner(self, line: LogLine, text: str) -> Draft | None:
        with_body = [
            draft
            for draft in reversed(self.open)
            if _may_share(draft, line) and draft.signature.stage is not MatchStage.LINE
        ]
        active = [draft for draft in with_body if not draft.ended or draft.panic]
        if len(active) > 1 and text.startswith("CPU"):
            cpu = parse_task(text).cpu
            without_task = (draft for draft in active if draft.taint is None and draft.cpu in (None, cpu))
            of_cpu = next(without_task, None) or next((draft for draft in active if draft.cpu == cpu), None)
            if of_cpu is not None:
                self._to_front(of_cpu)
                return of_cpu
        in_progress = (draft for draft in reversed(self.open) if not draft.ended)
        single = (draft for draft in in_progress if draft.signature.stage is MatchStage.LINE)
        return next(iter(active), None) or next(iter(with_body), None) or next(single, None)


_INDEPENDENT_PANICS = frozenset({"panic_no_root", "panic_no_init", "panic_sysrq"})  # never follow from a report


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


def _may_be_same(left: str | None, right: str | None) -> bool:
    return left is None or right is None or left == right


def _may_share(draft: Draft, line: LogLine) -> bool:
    return _may_be_same(draft.caller, line.caller) or draft.signature.report_class in _ALL_CPUS or draft.panic


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
    return all(_may_be_same(_group(match.groups, name), _group(draft.groups, name)) for name in _PLACES)


_PLACES = ("cpu", "comm", "file", "line", "function")  # where these differ, two banners are two reports


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


def _join(draft: Draft, line: LogLine, text: str, match: SignatureMatch, count: int) -> None:
    signature = match.signature
    banner = signature.stage is MatchStage.HEADER or signature.report_class is not draft.signature.report_class
    yields = draft.signature.weak and banner and signature.stage is not MatchStage.PANIC
    specific = _is_plain_warning(draft.signature) and signature.stage is MatchStage.PREFACE and not signature.weak
    if yields or specific:
        draft.groups = {
            **match.groups,
            **{key: value for key, value in draft.groups.items() if key == "file" and value},
        }
        draft.signature = signature
    if signature.stage is not MatchStage.PANIC:
        draft.add_banner(match)
    draft.header = draft.header or signature.stage is not MatchStage.PREFACE
    draft.died = draft.died or signature.stage is MatchStage.DIE
    if signature.stage is MatchStage.PANIC:
        draft.panic, draft.other = True, bool(draft.frames)
    draft.add_line(line, text, count)
