"""The one-file cases: a header of `expect:` and `origin:` lines, a blank line, then the log as it was saved."""

from dataclasses import dataclass
from pathlib import Path

from kmodmon.events.report import KernelReport
from kmodmon.reports.saved_log import explain_log

HERE = Path(__file__).parent
CASES = tuple(sorted((HERE / "cases").glob("*.log")))
CLEAN = tuple(sorted((HERE / "clean").glob("*.log")))
NOTICES = ("module_taint", "module_load_failure", "lockdown_denial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One report a case expects; `facts` are attributes of the report as text."""

    report_class: str
    signature: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case file."""

    expected: tuple[Expected, ...]
    origin: str
    log: bytes

    @property
    def has_notices(self) -> bool:
        """Whether it expects notices, which are listed only on request."""
        return any(expected.report_class in NOTICES for expected in self.expected)

    def reports(self) -> tuple[KernelReport, ...]:
        """What is found in the log."""
        return explain_log(self.log, include_all=self.has_notices)


def read_case(path: Path) -> Case:
    """Read one case file."""
    head, log = path.read_bytes().split(b"\n\n", 1)
    lines = [line.split(": ", 1) for line in head.decode().split("\n")]
    return Case(
        expected=tuple(_expected(value) for key, value in lines if key == "expect"),
        origin=" ".join(value for key, value in lines if key == "origin"),
        log=log,
    )


def _expected(text: str) -> Expected:
    report_class, signature, *facts = text.split()
    pairs = [fact.split("=", 1) for fact in facts]
    return Expected(report_class=report_class, signature=signature, facts=tuple((name, value) for name, value in pairs))


def fact(report: KernelReport, name: str) -> str:
    """Give an attribute of a report as a case writes it."""
    value: object = getattr(report, name)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def near_misses() -> tuple[tuple[str, str], ...]:
    """Give the near misses: the signature that must not match, and the line."""
    lines = (HERE / "near" / "near.txt").read_text().splitlines()
    pairs = [line.split("\t", 1) for line in lines if not line.startswith("#")]
    return tuple((name, line) for name, line in pairs)
