"""Lines become reports: which line opens one, which goes on with one, which ends one.

The kernel does not delimit its reports reliably (kernel-doc: none exists). A report is opened by a banner, goes on
with lines that look like a report's body, and ends with an end marker, another banner, a distance of lines that are
nobody's, or a gap in time. Where records carry a caller (`T123`, `C0`), lines of other callers stay out. Facts:

- After `---[ end trace ]---` the kernel repeats RIP and registers of the *first* oops since boot: they are dropped.
- A panic that follows from a report (`Fatal exception`, `panic_on_warn set`) is that report's end, with one more dump.
- A detector (list, refcount, usercopy) speaks before the banner of the WARN or BUG it raises, old kernels after it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kmodmon.events.report import ReportClass
from kmodmon.reports.body import LineKind, kind_of, parse_task
from kmodmon.reports.draft import MAX_LINES, MAX_TEXT, Draft
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.signatures.signature import LogSignature, MatchStage, SignatureMatch
from kmodmon.reports.signatures.table import match
from kmodmon.types.text import bounded

MAX_OPEN = 8
MAX_FOREIGN = 64  # lines of nobody, after which a report is over
MAX_CUT = 12  # lines between a cut line and the banner it belongs to
MAX_BANNER = 40  # lines between the lines of one banner: an interrupted printk, a dump of page tables
GAP_USEC = 5_000_000
LONG_GAP_USEC = 30_000_000  # stalls dump the stacks of other CPUs with pauses, slow consoles stretch them
REBOOT_USEC = 60_000_000  # printk's clock went back: another boot's log

_INLINED = re.compile(r"\[< +inlined? +>\]")  # what an older symbolizer writes before the function
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
_ONE_EACH = frozenset(
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
class Work:
    """The recogniser's memory while lines are taken in; made from a state and turned back into one."""

    open: list[Draft]
    cut: LogLine | None = None
    cut_at: int = 0
    count: int = 0
    panicked: bool = False
    closed: list[Draft] = field(default_factory=list)

    def take(self, line: LogLine, text: str) -> SignatureMatch | None:
        """Take one line of the kernel; gives the match of a line that is a saying and no part of a report."""
        if not text or text.isspace():
            return None  # not counted: some ways of saving a log put an empty line behind each
        self.count += 1
        if self.open:
            self._expire(line)
        found = match(text.lstrip(" "))
        if found is not None and found.signature.stage is MatchStage.SAYING:
            return found
        if found is not None:
            self._banner(line, text, found)
        elif self.open:
            self._body(line, text)
        elif text[:1] in "-=8<":
            self._outside(line, text)
        return None

    def close_all(self) -> None:
        """End every report: the log is over, or silent."""
        self.closed += self.open
        self.open.clear()
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

    def _outside(self, line: LogLine, text: str) -> None:
        kind = kind_of(text, LineKind.FOREIGN)
        if kind is LineKind.CUT:
            self.cut, self.cut_at = line, self.count
        elif kind is LineKind.END_PANIC and not self.panicked:
            found = match(text[text.index("Kernel panic") :])
            if found is not None:  # all that is left of the panic: the log begins, or was cut, in the middle
                self._begin(line, text, found)

    # Banners.

    def _banner(self, line: LogLine, text: str, found: SignatureMatch) -> None:
        stage = found.signature.stage
        if self._is_echo(text):
            self.open[-1].add_line(line, text, self.count)
            return
        draft = self._panicking(line, found) if stage is MatchStage.PANIC else self._continued(line, found)
        if draft is None:
            self._begin(line, text, found)
        else:
            _join(draft, line, text, found, self.count)
            self._to_front(draft)
        self.panicked = self.panicked or stage is MatchStage.PANIC

    def _is_echo(self, text: str) -> bool:
        # Two consoles on one line print every line twice.
        newest = self.open[-1] if self.open else None
        return newest is not None and self.count - newest.at <= 1 and newest.evidence[-1:] == [bounded(text, MAX_TEXT)]

    def _begin(self, line: LogLine, text: str, found: SignatureMatch) -> None:
        signature = found.signature
        fresh = self.cut is not None and self.count - self.cut_at <= MAX_CUT and _same(self.cut.caller, line.caller)
        first = self.cut if fresh and self.cut is not None and signature.stage is not MatchStage.LINE else line
        draft = Draft(
            signature=signature,
            groups=found.groups,
            first=first,
            last=line,
            at=self.count,
            began=self.count,
            caller=line.caller,
            stage=signature.stage,
            header=signature.stage is not MatchStage.PREFACE,
            died=signature.stage is MatchStage.DIE,
            panic=signature.stage is MatchStage.PANIC,
            lines=0,
        )
        draft.take_banner(found)
        draft.add_line(line, text, self.count)
        self.cut = None
        self.open.append(draft)
        if len(self.open) > MAX_OPEN:
            self.closed.append(self.open.pop(0))

    def _continued(self, line: LogLine, found: SignatureMatch) -> Draft | None:
        fits = [
            draft
            for draft in reversed(self.open)
            if not draft.ended and _may_share(draft, line) and _continues(draft, found, self.count)
        ]
        # Two CPUs report at once: a banner belongs to the words of its own kind.
        akin = (draft for draft in fits if draft.signature.report_class is found.signature.report_class)
        return next(akin, None) or next(iter(fits), None)

    def _panicking(self, line: LogLine, found: SignatureMatch) -> Draft | None:
        own = found.signature.name in _OWN_PANICS
        for draft in reversed(self.open):
            if draft.panic or _follows(found, draft.signature):
                return draft
            unfinished = not draft.ended and draft.signature.report_class in _FAULTS and draft.header
            if unfinished and not own and _same(draft.caller, line.caller):
                return draft
        return None

    def _to_front(self, draft: Draft) -> None:
        self.open.remove(draft)
        self.open.append(draft)

    # Bodies.

    def _body(self, line: LogLine, text: str) -> None:
        if _RUN in text:
            text = _BLANKS.sub(_RUN, text)  # the expressions of bodies are quadratic in runs of blanks
        draft = self._owner(line, text)
        if draft is None:
            if text[:1] in "-=8<":
                self._outside(line, text)
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
                self._cut(draft, line, text)
            case LineKind.END | LineKind.END_PANIC:
                draft.add_line(line, text, self.count)
                draft.ended = True
                draft.panic = draft.panic or kind is LineKind.END_PANIC
            case _ if draft.ended and not draft.panic:
                return  # the first oops's registers again, the exit note: nobody's
            case _:
                draft.take(kind, text)
                draft.add_line(line, text, self.count)

    def _cut(self, draft: Draft, line: LogLine, text: str) -> None:
        if text.startswith("=") and draft.lines > 3:
            draft.add_line(line, text, self.count)
            draft.ended = True
        self.cut, self.cut_at = line, self.count

    def _owner(self, line: LogLine, text: str) -> Draft | None:
        ours = [
            draft
            for draft in reversed(self.open)
            if _may_share(draft, line) and draft.signature.stage is not MatchStage.LINE
        ]
        alive = [draft for draft in ours if not draft.ended or draft.panic]
        if len(alive) > 1 and text.startswith("CPU"):
            cpu = parse_task(text).cpu
            waiting = (draft for draft in alive if draft.taint is None and draft.cpu in (None, cpu))
            named = next(waiting, None) or next((draft for draft in alive if draft.cpu == cpu), None)
            if named is not None:
                self._to_front(named)
                return named
        lines = [draft for draft in reversed(self.open) if draft.signature.stage is MatchStage.LINE and not draft.ended]
        return next(iter(alive), None) or next(iter(ours), None) or next(iter(lines), None)


_OWN_PANICS = frozenset({"panic_no_root", "panic_no_init", "panic_sysrq"})


def _follows(found: SignatureMatch, before: LogSignature) -> bool:
    # A panic that says its reason follows from a report of that kind; `Fatal exception` from any but a device's.
    report_class = before.report_class
    match found.signature.name:
        case "panic":
            if report_class is ReportClass.IO_ERROR or (
                report_class is ReportClass.OTHER and before.stage is MatchStage.LINE
            ):
                return False
            return _FOLLOWS.match(found.groups.get("what") or "") is not None
        case "panic_init_died":
            return report_class in _FAULTS
        case _:
            return report_class is found.signature.report_class and report_class is not ReportClass.PANIC


def _same(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _may_share(draft: Draft, line: LogLine) -> bool:
    return _same(draft.caller, line.caller) or draft.signature.report_class in _ALL_CPUS or draft.panic


def _continues(draft: Draft, found: SignatureMatch, count: int) -> bool:
    signature = found.signature
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
            again = signature.weak and draft.signature.name == signature.name
            fits = draft.signature.report_class is signature.report_class or _is_plain_warning(draft.signature)
            return near and (again or (fits and not _has_trace(draft)))
        case _:
            return _banner_continues(draft, found, count)


def _has_trace(draft: Draft) -> bool:
    # A mail may have broken a banner before its function, which then looks like a trace of one entry.
    return bool(draft.frames) and not (len(draft.frames) == 1 and draft.traces == 0)


def _is_inlined_in(draft: Draft, signature: LogSignature, count: int) -> bool:
    # Symbolised logs say a sanitizer's banner once for each inlined function and at last for the real one.
    before = draft.evidence[-1].rstrip()
    inlined = before.endswith("[inline]") or _INLINED.search(before) is not None
    return draft.signature.name == signature.name and count - draft.at <= 1 and inlined


def _banner_continues(draft: Draft, found: SignatureMatch, count: int) -> bool:
    signature = found.signature
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
    if not same or not near or draft.frames or signature.report_class in _ONE_EACH:
        return draft.signature.weak and near and not draft.frames
    places = [(_said(found.groups, name), _said(draft.groups, name)) for name in _PLACES]
    return all(new is None or old is None or new == old for new, old in places)


_PLACES = ("cpu", "comm", "file", "line", "function")  # where these differ, two banners are two reports


def _said(groups: Mapping[str, str | None], name: str) -> str | None:
    return groups.get(name) or groups.get(f"{name}2")


def _explains(before: LogSignature, banner: LogSignature) -> bool:
    # Where BUG() has no trap instruction it writes through NULL: the fault that follows is the same report. A check
    # may say its words and then WARN.
    if banner.report_class is ReportClass.OOPS:
        return before.report_class is ReportClass.BUG
    return banner.report_class is ReportClass.WARNING and before.name in ("bug_generic", "slab_corruption")


def _is_plain_warning(signature: LogSignature) -> bool:
    return signature.report_class is ReportClass.WARNING and not signature.weak


def _join(draft: Draft, line: LogLine, text: str, found: SignatureMatch, count: int) -> None:
    signature = found.signature
    banner = signature.stage is MatchStage.HEADER or signature.report_class is not draft.signature.report_class
    yields = draft.signature.weak and banner and signature.stage is not MatchStage.PANIC
    specific = _is_plain_warning(draft.signature) and signature.stage is MatchStage.PREFACE and not signature.weak
    if yields or specific:
        draft.groups = {
            **found.groups,
            **{key: value for key, value in draft.groups.items() if key == "file" and value},
        }
        draft.signature = signature
    if signature.stage is not MatchStage.PANIC:
        draft.take_banner(found)
    draft.header = draft.header or signature.stage is not MatchStage.PREFACE
    draft.died = draft.died or signature.stage is MatchStage.DIE
    if signature.stage is MatchStage.PANIC:
        draft.panic, draft.other = True, bool(draft.frames)
    draft.add_line(line, text, count)
