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
from kmodmon.reports.signatures.signature import MatchStage, SignatureMatch, texts
from kmodmon.reports.signatures.table import match_line
from kmodmon.types.text import bounded

IDLE_USEC = 1_000_000  # after so long without a line an open report is complete
MAX_FORGERIES = 32  # kept with their text, of one batch; the others are only counted
MAX_TEXT = 240  # characters of a line that are kept as evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgery:
    """A line that user space wrote, in words that only the kernel uses."""

    signature: str
    text: str  # safe text, at most MAX_TEXT characters
    number: int  # of the line: sequence number, or line of a saved log
    facility: int  # never 0, which is the kernel's


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
        if not line.from_kernel:
            forgery = _forgery(line)
            forged += forgery is not None
            if forgery is not None and len(forgeries) < MAX_FORGERIES:
                forgeries.append(forgery)
            continue
        last_record_usec = now_usec
        for text in texts(line.printable):
            match = assembler.add(line, text)
            if match is not None:
                notices.append(_notice(line, text, match))
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


def _forgery(line: LogLine) -> Forgery | None:
    text = line.printable
    match = match_line(texts(text)[0])
    if match is None or match.signature.weak or match.signature.stage in (MatchStage.LINE, MatchStage.NOTICE):
        return None
    return Forgery(
        signature=match.signature.name,
        text=bounded(text, MAX_TEXT),
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
