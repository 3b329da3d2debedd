"""What the kernel said: reports, refused modules, taints, denials, and attempts to speak in its name.

Pure and incremental: the same lines give the same answer however they are cut into batches. The state is bounded: at
most `MAX_OPEN` unfinished reports, each of bounded size, and a bounded memory of fingerprints. A fingerprint that comes
again within the window is counted, not reported again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.report import FaultReason, KernelReport, ReportClass
from kmodmon.reports.assembler import Work
from kmodmon.reports.draft import Draft
from kmodmon.reports.fingerprint import saying_fingerprint
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.signatures.signature import MatchStage, SignatureMatch, texts
from kmodmon.reports.signatures.table import match
from kmodmon.types.text import bounded

SILENCE_USEC = 1_000_000
WINDOW_USEC = 60_000_000
MAX_DISTINCT = 256
MAX_FORGERIES = 32  # kept as text for one batch; the rest is only counted
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A report that came again and is not told again."""

    fingerprint: str
    signature: str
    report_class: ReportClass
    module: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgery:
    """A line that user space wrote, in words that only the kernel uses."""

    signature: str
    text: str
    number: int
    facility: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognized:
    """What was understood since the last call."""

    reports: tuple[KernelReport, ...] = ()
    load_failures: tuple[KernelReport, ...] = ()  # class module_load_failure, and lockdown's refusals of modules
    denials: tuple[KernelReport, ...] = ()  # class lockdown_denial
    taints: tuple[KernelReport, ...] = ()  # class module_taint
    forgeries: tuple[Forgery, ...] = ()
    forged: int = 0  # all of them
    repeats: tuple[Repeat, ...] = ()
    suppressed: int = 0  # different reports beyond what is kept in one window
    closed: tuple[int, ...] = ()  # the first lines of all reports that were completed, told or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which fingerprints were told since when."""

    since_usec: int = 0
    told: Mapping[str, int] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognizerState:
    """The recogniser's memory between two calls; never changed in place."""

    open: tuple[Draft, ...] = ()
    cut: LogLine | None = None
    cut_at: int = 0
    count: int = 0
    panicked: bool = False
    tail: LogLine | None = None  # the last record: a continuation may follow
    heard_usec: int = 0
    window: Window = Window()
    dedupe: bool = True  # False: every report is told (saved logs)

    @property
    def wants_all(self) -> bool:
        """Whether a report is open: then every record counts, not only those that the prefilter picks."""
        return bool(self.open) or self.cut is not None


def recognize(
    state: RecognizerState, lines: Iterable[LogLine], now_usec: int = 0
) -> tuple[RecognizerState, Recognized]:
    """Take in lines in the order the kernel wrote them; `now_usec` is any clock that :func:`tick` uses too."""
    work = Work(
        open=[draft.copy() for draft in state.open],
        cut=state.cut,
        cut_at=state.cut_at,
        count=state.count,
        panicked=state.panicked,
    )
    sayings: list[KernelReport] = []
    forgeries: list[Forgery] = []
    forged = 0
    heard = False
    for line in lines:
        if not line.from_kernel:
            forgery = _forgery(line)
            forged += forgery is not None
            if forgery is not None and len(forgeries) < MAX_FORGERIES:
                forgeries.append(forgery)
            continue
        heard = True
        for text in texts(line.text):
            saying = work.take(line, text)
            if saying is not None:
                sayings.append(_saying(line, text, saying))
    if work.cut is not None and not work.open and work.count - work.cut_at > 12:
        work.cut = None
    state = replace(state, heard_usec=now_usec if heard else state.heard_usec)
    return _settle(state, work, sayings, tuple(forgeries), forged, now_usec)


def tick(state: RecognizerState, now_usec: int) -> tuple[RecognizerState, Recognized]:
    """Close what has been silent for a second."""
    if not state.wants_all or now_usec - state.heard_usec < SILENCE_USEC:
        return state, Recognized()
    return flush(state, now_usec)


def flush(state: RecognizerState, now_usec: int = 0) -> tuple[RecognizerState, Recognized]:
    """Close everything: the log is over."""
    work = Work(open=[draft.copy() for draft in state.open], count=state.count, panicked=state.panicked)
    work.close_all()
    return _settle(state, work, [], (), 0, now_usec)


def _settle(
    state: RecognizerState,
    work: Work,
    sayings: list[KernelReport],
    forgeries: tuple[Forgery, ...],
    forged: int,
    now_usec: int,
) -> tuple[RecognizerState, Recognized]:
    reports = [draft.report() for draft in work.closed]
    window, told, repeats, suppressed = _told(state, reports, now_usec)
    new = replace(
        state,
        open=tuple(work.open),
        cut=work.cut,
        cut_at=work.cut_at,
        count=work.count,
        panicked=work.panicked,
        window=window,
    )
    return new, Recognized(
        reports=told,
        repeats=repeats,
        suppressed=suppressed,
        closed=tuple(report.first_line for report in reports),
        forgeries=forgeries,
        forged=forged,
        load_failures=tuple(one for one in sayings if one.reason is not None),
        denials=tuple(one for one in sayings if one.report_class is ReportClass.LOCKDOWN_DENIAL),
        taints=tuple(one for one in sayings if one.report_class is ReportClass.MODULE_TAINT),
    )


def _told(
    state: RecognizerState, reports: list[KernelReport], now_usec: int
) -> tuple[Window, tuple[KernelReport, ...], tuple[Repeat, ...], int]:
    if not state.dedupe or not reports:
        return state.window, tuple(reports), (), 0
    window = state.window
    if now_usec - window.since_usec >= WINDOW_USEC:
        window = Window(since_usec=now_usec)
    counts = dict(window.told)
    told: list[KernelReport] = []
    again: dict[str, Repeat] = {}
    suppressed = 0
    for report in reports:
        print_ = report.fingerprint
        if print_ in counts:
            counts[print_] += 1
            count = again[print_].count + 1 if print_ in again else 1
            again[print_] = Repeat(
                fingerprint=print_,
                signature=report.signature,
                report_class=report.report_class,
                module=report.module,
                count=count,
            )
        elif len(counts) >= MAX_DISTINCT:
            suppressed += 1
        else:
            counts[print_] = 0
            told.append(report)
    return replace(window, told=MappingProxyType(counts)), tuple(told), tuple(again.values()), suppressed


def _forgery(line: LogLine) -> Forgery | None:
    found = match(texts(line.text)[0])
    if found is None or found.signature.weak or found.signature.stage in (MatchStage.LINE, MatchStage.SAYING):
        return None
    return Forgery(
        signature=found.signature.name, text=bounded(line.text, 240), number=line.number, facility=line.facility or 0
    )


def _saying(line: LogLine, text: str, found: SignatureMatch) -> KernelReport:
    signature = found.signature
    groups = {key.rstrip("23456789"): value for key, value in found.groups.items() if value is not None}
    module, symbol = groups.get("module"), groups.get("symbol")
    title = (
        signature.title.format_map({"symbol": symbol or "", **groups}) if "{" in signature.title else signature.title
    )
    return KernelReport(
        report_class=signature.report_class,
        signature=signature.name,
        severity=signature.severity,
        reason=signature.reason,
        title=title if module is None else f"{title}: {module}",
        fingerprint=saying_fingerprint(signature.report_class.value, signature.name, module, symbol),
        first_line=line.number,
        last_line=line.number,
        module=module,
        symbol=symbol,
        comm=groups.get("comm"),
        module_reason=None if module is None else FaultReason.NAMED,
        printk_usec=line.printk_usec,
        evidence=(bounded(text, 240),),
    )
