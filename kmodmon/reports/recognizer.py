"""Recognizes what the kernel reports in lines of its log: failures, refused modules, taints, lockdown's denials.

Pure and incremental: the same lines give the same result, however they are cut into batches. The state is bounded: at
most `MAX_OPEN` unfinished reports, each of bounded size, and at most `MAX_DISTINCT` fingerprints. A report with the
fingerprint of an earlier one of the same window is counted and not reported again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.report import FaultReason, KernelReport, ReportClass
from kmodmon.reports.assembler import Assembler
from kmodmon.reports.draft import Draft
from kmodmon.reports.fingerprint import fingerprint
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.opening import read_opening
from kmodmon.reports.signatures.signature import MatchStage, SignatureMatch, texts
from kmodmon.reports.signatures.table import search
from kmodmon.types.text import bounded

IDLE_USEC = 1_000_000  # after so long without a line an open report is complete
WINDOW_USEC = 60_000_000
MAX_DISTINCT = 256
MAX_FORGERIES = 32  # kept with their text, of one batch; the others are only counted
MAX_TEXT = 240  # characters of a line that are kept as evidence
_NO_REPEATS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgery:
    """A record with text that user space chose, in words that only the kernel uses."""

    signature: str
    text: str  # safe text, at most MAX_TEXT characters
    number: int  # of the line: sequence number, or line of a saved log
    facility: int  # 0: the kernel printed it, and a user chose a name or an option in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognized:
    """What one call recognized. A notice is a single line that is an event of its own and no report of a failure."""

    reports: tuple[KernelReport, ...] = ()
    notices: tuple[KernelReport, ...] = ()
    forgeries: tuple[Forgery, ...] = ()  # the first MAX_FORGERIES of them
    forged: int = 0  # number of all forgeries
    repeats: Mapping[str, int] = field(default_factory=lambda: _NO_REPEATS)  # signature -> reports not repeated
    suppressed: int = 0  # reports left out because the window has MAX_DISTINCT fingerprints
    closed: tuple[int, ...] = ()  # number of the first line of each completed report, repeats and suppressed included

    @property
    def load_failures(self) -> tuple[KernelReport, ...]:
        """Refused modules: class module_load_failure, and lockdown's denials of modules."""
        return tuple(notice for notice in self.notices if notice.reason is not None)

    @property
    def denials(self) -> tuple[KernelReport, ...]:
        """Lockdown's denials: class lockdown_denial."""
        return self._of(ReportClass.LOCKDOWN_DENIAL)

    @property
    def taints(self) -> tuple[KernelReport, ...]:
        """Taints that the loader announced: class module_taint."""
        return self._of(ReportClass.MODULE_TAINT)

    def _of(self, report_class: ReportClass) -> tuple[KernelReport, ...]:
        return tuple(notice for notice in self.notices if notice.report_class is report_class)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The fingerprints that were reported since a moment; a new window begins after WINDOW_USEC."""

    since_usec: int = 0  # the clock of the caller of recognize()
    fingerprints: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognizerState:
    """The recognizer's memory between two calls; never changed in place."""

    assembler: Assembler = field(default_factory=Assembler)
    last_record_usec: int = 0  # when the last kernel line came, by the clock of the caller of recognize()
    window: Window = Window()
    dedupe: bool = True  # False: every report is reported (saved logs, replay)

    @property
    def open(self) -> tuple[Draft, ...]:
        """The unfinished reports."""
        return tuple(self.assembler.open)

    @property
    def wants_all(self) -> bool:
        """Whether every next line matters, and not only those that the prefilter selects."""
        return bool(self.assembler.open) or self.assembler.cut is not None


def recognize(
    state: RecognizerState, lines: Iterable[LogLine], now_usec: int = 0
) -> tuple[RecognizerState, Recognized]:
    """Process lines in the order in which the kernel wrote them; `now_usec`: any clock, the same for :func:`tick`."""
    assembler = state.assembler.copy()
    last_record_usec = state.last_record_usec
    notices: list[KernelReport] = []
    forgeries: list[Forgery] = []
    forged = 0
    for line in lines:
        if line.from_kernel:
            last_record_usec = now_usec
            imitated = _add(line, assembler, notices)
        else:
            imitated = _imitated_report(line)
        forged += imitated is not None
        if imitated is not None and len(forgeries) < MAX_FORGERIES:
            forgeries.append(_forgery(line, imitated))
    assembler.drop_stale_cut()
    state, recognized = _close(replace(state, last_record_usec=last_record_usec), assembler, now_usec)
    return state, replace(recognized, notices=tuple(notices), forgeries=tuple(forgeries), forged=forged)


def tick(state: RecognizerState, now_usec: int) -> tuple[RecognizerState, Recognized]:
    """Close all reports when no kernel line has come for IDLE_USEC."""
    if not state.wants_all or now_usec - state.last_record_usec < IDLE_USEC:
        return state, Recognized()
    return flush(state, now_usec)


def flush(state: RecognizerState, now_usec: int = 0) -> tuple[RecognizerState, Recognized]:
    """Close all reports: the log ends here."""
    assembler = state.assembler.copy()
    assembler.close_all()
    return _close(state, assembler, now_usec)


def _close(state: RecognizerState, assembler: Assembler, now_usec: int) -> tuple[RecognizerState, Recognized]:
    reports = [draft.report() for draft in assembler.take_closed()]
    window, recognized = _deduplicate(state, reports, now_usec)
    return replace(state, assembler=assembler, window=window), recognized


def _deduplicate(state: RecognizerState, reports: list[KernelReport], now_usec: int) -> tuple[Window, Recognized]:
    window, closed = state.window, tuple(report.first_line for report in reports)
    if not state.dedupe or not reports:
        return window, Recognized(reports=tuple(reports), closed=closed)
    if now_usec - window.since_usec >= WINDOW_USEC:
        window = Window(since_usec=now_usec)
    fingerprints = set(window.fingerprints)
    new: list[KernelReport] = []
    repeats: Counter[str] = Counter()
    suppressed = 0
    for report in reports:
        if report.fingerprint in fingerprints:
            repeats[report.signature] += 1
        elif len(fingerprints) >= MAX_DISTINCT:
            suppressed += 1
        else:
            fingerprints.add(report.fingerprint)
            new.append(report)
    window = replace(window, fingerprints=frozenset(fingerprints))
    return window, Recognized(reports=tuple(new), repeats=repeats, suppressed=suppressed, closed=closed)


def _add(line: LogLine, assembler: Assembler, notices: list[KernelReport]) -> SignatureMatch | None:
    # Returns what text that a user chose imitates in a record of the kernel.
    opening = read_opening(line.printable)
    match = assembler.add(line, opening.text, opening.match)
    if match is not None:
        notices.append(_notice(line, opening.text, match))
    imitated = opening.imitated
    for text in opening.rest:
        imitated = assembler.add_rest(line, text) or imitated
    return imitated


def _imitated_report(line: LogLine) -> SignatureMatch | None:
    # Programs repeat single lines of the log in good faith, but no banners.
    match = search(next(filter(None, texts(line.printable)), ""))
    if match is None or match.signature.weak or match.signature.stage in (MatchStage.LINE, MatchStage.NOTICE):
        return None
    return match


def _forgery(line: LogLine, imitated: SignatureMatch) -> Forgery:
    return Forgery(
        signature=imitated.signature.name,
        text=bounded(line.printable, MAX_TEXT),
        number=line.number,
        facility=line.facility or 0,
    )


def _notice(line: LogLine, text: str, match: SignatureMatch) -> KernelReport:
    signature, groups = match.signature, match.merged_groups
    module, symbol = groups.get("module"), groups.get("symbol")
    title = signature.title.format_map({"symbol": "", **groups}) if "{" in signature.title else signature.title
    return KernelReport(
        report_class=signature.report_class,
        signature=signature.name,
        severity=signature.severity,
        reason=signature.reason,
        title=title if module is None else f"{title}: {module}",
        fingerprint=fingerprint(signature.report_class.value, signature.name, module or "", symbol or ""),
        first_line=line.number,
        last_line=line.number,
        module=module,
        symbol=symbol,
        comm=groups.get("comm"),
        module_reason=None if module is None else FaultReason.NAMED,
        printk_usec=line.printk_usec,
        evidence=(bounded(text, MAX_TEXT),),
    )
