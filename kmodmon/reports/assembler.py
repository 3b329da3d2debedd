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
from dataclasses import dataclass, field, replace

from kmodmon.events.report import ReportClass
from kmodmon.reports.banner import ALL_CPUS, find_continued, join, may_be_same, may_share
from kmodmon.reports.body import LineKind, kind_of, parse_task
from kmodmon.reports.draft import MAX_LINES, MAX_TEXT, Draft
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.signatures.signature import MatchStage, SignatureMatch
from kmodmon.reports.signatures.table import match_line
from kmodmon.reports.signatures.task_line import without_name
from kmodmon.types.text import bounded

MAX_OPEN = 8
MAX_FOREIGN = 64  # lines since the last one of a report, after which it is complete
MAX_CUT = 12  # lines between a `cut here` line and its banner
GAP_USEC = 5_000_000
LONG_GAP_USEC = 30_000_000  # stalls dump the stacks of other CPUs with pauses, slow consoles stretch them
REBOOT_USEC = 60_000_000  # printk's clock went back by more than CPUs differ: the log of another boot

_RUN = " " * 24
_BLANKS = re.compile(" {24,}")

# Reports of these classes come with pauses.
_SLOW = ALL_CPUS | {ReportClass.HUNG_TASK, ReportClass.OOM}


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

    def add(self, line: LogLine, text: str, match: SignatureMatch | None) -> SignatureMatch | None:
        """Add one kernel line and its match; return the match when it is a notice, which is no part of a report."""
        if not text or text.isspace():
            return None  # not counted: some ways of saving a log put an empty line behind each
        self.count += 1
        if self.open:
            self._expire(line)
        if match is not None and match.signature.stage is MatchStage.NOTICE:
            return match
        if match is not None:
            self._add_banner(line, text, match)
        elif self.open:
            self._add_body(line, text)
        else:
            self._add_outside(line, text)
        return None

    def add_rest(self, line: LogLine, text: str) -> SignatureMatch | None:
        """Add a later line of the record `line`, whose first line was added; return its match if it is refused.

        It continues the report that the first line opened or continued, and opens none.
        """
        draft = self.open[-1] if self.open and self.open[-1].last is line else None
        match = match_line(text.lstrip(" "))
        if match is None:
            if draft is not None:
                self._add_to(draft, line, _without_runs(text))
            return None
        panics = match.signature.stage is MatchStage.PANIC
        if draft is None or panics or find_continued((draft,), line, match, self.count) is None:
            return match
        self._join(draft, line, text, match)
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
        if self._is_echo(text):
            self.open[-1].add_line(line, text, self.count)
            return
        draft = find_continued(self.open, line, match, self.count)
        if draft is None:
            self._begin(line, text, match)
            self.panicked = self.panicked or match.signature.stage is MatchStage.PANIC
        else:
            self._join(draft, line, text, match)

    def _join(self, draft: Draft, line: LogLine, text: str, match: SignatureMatch) -> None:
        join(draft, line, text, match, self.count)
        self._to_front(draft)
        self.panicked = self.panicked or match.signature.stage is MatchStage.PANIC

    def _is_echo(self, text: str) -> bool:
        # Two consoles on one line print every line twice.
        newest = self.open[-1] if self.open else None
        return newest is not None and self.count - newest.at <= 1 and newest.evidence[-1:] == [bounded(text, MAX_TEXT)]

    def _begin(self, line: LogLine, text: str, match: SignatureMatch) -> None:
        signature = match.signature
        cut = self.cut
        near = cut is not None and self.count - self.cut_at <= MAX_CUT and may_be_same(cut.caller, line.caller)
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

    def _to_front(self, draft: Draft) -> None:
        self.open.remove(draft)
        self.open.append(draft)

    # Bodies.

    def _add_body(self, line: LogLine, text: str) -> None:
        text = _without_runs(text)
        draft = self._owner(line, text)
        if draft is None:
            self._add_outside(line, text)
        else:
            self._add_to(draft, line, text)

    def _add_to(self, draft: Draft, line: LogLine, text: str) -> None:
        more_modules = line.continuation and draft.previous is LineKind.MODULES
        named = without_name(text) or text  # the name of a task may look like a line of a report
        kind = LineKind.MODULES if more_modules else kind_of(named, draft.previous)
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
                draft.add_body(kind, named)
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
            if may_share(draft, line) and draft.signature.stage is not MatchStage.LINE
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


def _without_runs(text: str) -> str:
    # The expressions of bodies are quadratic in runs of blanks.
    return _BLANKS.sub(_RUN, text) if _RUN in text else text
