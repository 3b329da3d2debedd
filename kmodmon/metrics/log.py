"""Metrics of the kernel log: records by level and origin, lost records, reports, failed loads."""

from collections.abc import Callable, Iterable

from kmodmon.events.event import Event
from kmodmon.events.kinds.log import KernelReported, PreviousBootReported
from kmodmon.events.kinds.module import ModuleLoadFailed
from kmodmon.events.report import LoadFailure
from kmodmon.metrics.metric import CountOf, LatestOf, Metric, MetricType, Sample, Samples
from kmodmon.reports.signatures.table import SIGNATURES
from kmodmon.state.state import State
from kmodmon.subjects.log import KERNEL, LEVELS, USER, LogAccount

_KMSG = "/dev/kmsg"
_REPORTS_TOTAL = "kmodmon_kernel_reports_total"
_UNREADABLE = "the log could not be read in this boot"
_REPORTS = tuple(dict.fromkeys(signature.name for signature in SIGNATURES if not signature.report_class.is_notice))
_REASONS = (*(reason.value for reason in LoadFailure), "init_failed")


def _of_log(number: Callable[[LogAccount], int]) -> Callable[[State], Samples]:
    # A log that was never readable has no samples, because 0 would mean that it has no records.
    return lambda state: [((), float(number(state.log)))] if state.log.opened else []


def _records(state: State) -> Iterable[Sample]:
    if not state.log.opened:
        return ()
    zeros = {(level, origin): 0 for origin in (KERNEL, USER) for level in LEVELS}
    return (((level, origin), float(count)) for (level, origin), count in {**zeros, **state.log.records}.items())


def _reports(state: State) -> Iterable[Sample]:
    if not state.log.opened:
        return ()
    counts = dict.fromkeys(_REPORTS, 0)
    for (signature,), reported in state.counts.get(_REPORTS_TOTAL, {}).items():
        counts[signature] = counts.get(signature, 0) + reported
    for signature, repeated in state.log.repeats.items():
        counts[signature] = counts.get(signature, 0) + repeated
    return (((signature,), float(count)) for signature, count in counts.items())


def _unconfirmed(state: State) -> Iterable[Sample]:
    if not state.log.opened:
        return ()
    counts = {**dict.fromkeys(_REPORTS, 0), **state.log.unconfirmed}
    return (((signature,), float(count)) for signature, count in counts.items())


def _believed_of_this_boot(event: Event) -> bool:
    details = event.details
    return isinstance(details, KernelReported) and details.believed and not isinstance(details, PreviousBootReported)


METRICS: tuple[Metric, ...] = (
    Metric(
        name="kmodmon_kernel_log_records_total",
        kind=MetricType.COUNTER,
        help="Records of the kernel log read in this boot; origin user is what user space wrote into it.",
        labels=("level", "origin"),
        interface=_KMSG,
        absent=_UNREADABLE,
        bound="8 levels x 2 origins",
        of=("log",),
        samples=_records,
    ),
    Metric(
        name="kmodmon_kernel_log_lost_total",
        kind=MetricType.COUNTER,
        help="Records of the kernel log that were overwritten before they were read (gaps in the sequence numbers).",
        interface=_KMSG,
        absent=_UNREADABLE,
        of=("log",),
        samples=_of_log(lambda log: log.lost),
    ),
    Metric(
        name="kmodmon_kernel_log_malformed_total",
        kind=MetricType.COUNTER,
        help="Records of the kernel log that are not of its format.",
        interface=_KMSG,
        absent=_UNREADABLE,
        of=("log",),
        samples=_of_log(lambda log: log.malformed),
    ),
    Metric(
        name="kmodmon_kernel_log_forged_total",
        kind=MetricType.COUNTER,
        help="Lines in the words of a kernel report that user space wrote, and reports that the kernel's own counters "
        "and taint bits do not confirm.",
        interface=_KMSG,
        absent=_UNREADABLE,
        of=("log",),
        samples=_of_log(lambda log: log.forged),
    ),
    Metric(
        name=_REPORTS_TOTAL,
        kind=MetricType.COUNTER,
        help="Reports of the kernel about its own failures, one a report and not a line, repeats included and "
        "unconfirmed ones not.",
        labels=("signature",),
        interface=_KMSG,
        absent=_UNREADABLE,
        bound=f"{len(_REPORTS)} signatures",
        of=("counts", "log"),
        events=CountOf(kinds=(KernelReported,), where=_believed_of_this_boot),
        samples=_reports,
    ),
    Metric(
        name="kmodmon_kernel_reports_unconfirmed_total",
        kind=MetricType.COUNTER,
        help="Reports in the log of which the kernel's own counters and taint bits know nothing: forgeries, as a rule.",
        labels=("signature",),
        interface="/dev/kmsg, /sys/kernel/*_count, /proc/sys/kernel/tainted",
        absent=_UNREADABLE,
        bound=f"{len(_REPORTS)} signatures",
        of=("log",),
        samples=_unconfirmed,
    ),
    Metric(
        name="kmodmon_kernel_reports_suppressed_total",
        kind=MetricType.COUNTER,
        help="Different reports in a storm beyond those that are told one by one.",
        interface=_KMSG,
        absent=_UNREADABLE,
        of=("log",),
        samples=_of_log(lambda log: log.suppressed),
    ),
    Metric(
        name="kmodmon_previous_boot_reports_total",
        kind=MetricType.COUNTER,
        help="Reports of earlier boots that were found in pstore during this one; each is told once.",
        labels=("signature",),
        interface="/sys/fs/pstore, /var/lib/systemd/pstore",
        absent="no report of an earlier boot",
        bound=f"{len(_REPORTS)} signatures",
        of=("counts",),
        events=CountOf(kinds=(PreviousBootReported,), initial=()),
    ),
    Metric(
        name="kmodmon_previous_boot_report_timestamp_seconds",
        help="When a report of an earlier boot was found, by kind and module (empty: none), kept for retention.recent.",
        labels=("signature", "module"),
        interface="/sys/fs/pstore, /var/lib/systemd/pstore",
        absent="none was found within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(PreviousBootReported,)),
    ),
    Metric(
        name="kmodmon_kernel_report_timestamp_seconds",
        help="When a kind of report last named a module (empty: none), kept for retention.recent.",
        labels=("signature", "module"),
        interface=_KMSG,
        absent="no report within retention.recent",
        bound="retention.max_series",
        of=("stamps",),
        events=LatestOf(kinds=(KernelReported,), where=_believed_of_this_boot),
    ),
    Metric(
        name="kmodmon_module_load_failures_total",
        kind=MetricType.COUNTER,
        help="Module loads that the kernel refused or that failed, by reason.",
        labels=("reason",),
        interface="/dev/kmsg, tracefs module events",
        bound=f"{len(_REASONS)} reasons",
        of=("counts",),
        events=CountOf(kinds=(ModuleLoadFailed,), initial=tuple((reason,) for reason in _REASONS)),
    ),
)
