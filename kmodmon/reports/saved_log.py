"""Every report in a saved log."""

from kmodmon.events.report import KernelReport
from kmodmon.reports.recognizer import RecognizerState, flush, recognize
from kmodmon.savedlog.savedlog import read_saved_log


def explain_log(data: bytes, *, include_all: bool = False) -> tuple[KernelReport, ...]:
    """Return the reports in any bytes, in the order of their first lines; `include_all`: the notices too."""
    state, recognized = recognize(RecognizerState(), read_saved_log(data))
    state, rest = flush(state)
    reports = [*recognized.reports, *rest.reports]
    if include_all:
        reports += recognized.load_failures
        reports += (denial for denial in recognized.denials if denial.reason is None)
        reports += recognized.taints
    return tuple(sorted(reports, key=lambda report: (report.first_line, report.last_line)))
