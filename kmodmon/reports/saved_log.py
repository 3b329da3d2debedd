"""Every report in a saved log."""

from kmodmon.events.report import KernelReport
from kmodmon.reports.log_line import LogLine
from kmodmon.reports.recognizer import RecognizerState, flush, recognize
from kmodmon.savedlog.savedlog import SavedLine, read_saved_log


def explain_log(data: bytes, *, include_all: bool = False) -> tuple[KernelReport, ...]:
    """Return the reports in any bytes, in the order of their first lines; `include_all`: the notices too."""
    state, recognized = recognize(RecognizerState(dedupe=False), (_line(saved) for saved in read_saved_log(data)))
    state, rest = flush(state)
    reports = [*recognized.reports, *rest.reports]
    if include_all:
        reports += recognized.load_failures
        reports += (denial for denial in recognized.denials if denial.reason is None)
        reports += recognized.taints
    return tuple(sorted(reports, key=lambda report: (report.first_line, report.last_line)))


def _line(saved: SavedLine) -> LogLine:
    return LogLine(
        text=saved.text,
        level=saved.level,
        facility=saved.facility,
        seq=saved.seq,
        printk_usec=saved.printk_usec,
        caller=saved.caller,
        continuation=saved.continuation,
        number=saved.number,
    )
