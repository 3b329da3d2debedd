"""Recognizes what the kernel reports in lines of its log: failures, refused modules, taints, lockdown's denials.

Pure and incremental: the same lines give the same result, however they are cut into batches. The state is bounded: at
most `MAX_OPEN` unfinished reports, each of bounded size. Which of the complete ones are told is decided elsewhere
(`kmodmon.reports.budget`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

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
MAX_FORGERIES = 32  # kept with their text, of one batch; the others are only counted
MAX_TEXT = 240  # characters of a line that are kept as evidence


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
class RecognizerState:
    """The recognizer's memory between two calls; never changed in place."""

    assembler: Assembler = field(default_factory=Assembler)
    last_record_usec: int = 0  # when the last kernel line came, by the clock of the caller of recognize()

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
    state, recognized = _close(replace(state, last_record_usec=last_record_usec), assembler)
    return state, replace(recognized, notices=tuple(notices), forgeries=tuple(forgeries), forged=forged)


def tick(state: RecognizerState, now_usec: int) -> tuple[RecognizerState, Recognized]:
    """Close all reports when no kernel line has come for IDLE_USEC."""
    if not state.wants_all or now_usec - state.last_record_usec < IDLE_USEC:
        return state, Recognized()
    return flush(state)


def flush(state: RecognizerState) -> tuple[RecognizerState, Recognized]:
    """Close all reports: the log ends here."""
    assembler = state.assembler.copy()
    assembler.close_all()
    return _close(state, assembler)


def _close(state: RecognizerState, assembler: Assembler) -> tuple[RecognizerState, Recognized]:
    reports = tuple(draft.report() for draft in assembler.take_closed())
    return replace(state, assembler=assembler), Recognized(reports=reports)


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
