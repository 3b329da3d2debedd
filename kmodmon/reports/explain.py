"""One message, explained: what it means, why it is said, what to do next."""

from dataclasses import dataclass, replace

from kmodmon.events.report import LoadFailure, ReportClass
from kmodmon.reports.signatures import table
from kmodmon.reports.signatures.errno import Sentence, ToolSentence, find_sentence
from kmodmon.reports.signatures.signature import SignatureMatch
from kmodmon.savedlog.savedlog import read_saved_log
from kmodmon.types.units import JsonObject

_NAMELESS = "a_module"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a line, or an errno's sentence, means; None is what does not apply."""

    subject: str  # the signature, or the errno
    meaning: str
    why: str
    next_step: str
    report_class: ReportClass | None = None
    severity: str | None = None
    module: str | None = None
    reason: LoadFailure | None = None
    wording: str = ""

    def to_json(self) -> JsonObject:
        """Stable keys."""
        return {
            "subject": self.subject,
            "meaning": self.meaning,
            "why": self.why,
            "next_step": self.next_step,
            "class": None if self.report_class is None else self.report_class.value,
            "severity": self.severity,
            "module": self.module,
            "reason": None if self.reason is None else self.reason.value,
        }


def explain_line(text: str) -> Explanation | None:
    """Explain one message, with or without a log's prefix; None: nothing is known of it."""
    lines = [line.text.lstrip(" ") for line in read_saved_log(text.encode("utf-8", "surrogateescape"))]
    for line in lines:
        found = table.match(line)
        if found is not None:
            return _signature(found)
    for line in lines:  # many begin with the module's name, which people leave out
        found = table.match(f"{_NAMELESS}: {line}")
        if found is not None:
            return replace(_signature(found), module=None)
    return _sentence(text)


def _signature(found: SignatureMatch) -> Explanation:
    signature = found.signature
    groups = {key.rstrip("23456789"): value for key, value in found.groups.items() if value is not None}
    return Explanation(
        subject=signature.name,
        meaning=signature.help,
        why=f"The kernel says so in {signature.origin}.",
        next_step=signature.advice,
        report_class=signature.report_class,
        severity=signature.severity.value,
        module=groups.get("module"),
        reason=signature.reason,
        wording=signature.wording,
    )


def _sentence(text: str) -> Explanation | None:
    match find_sentence(text):
        case Sentence() as said:
            reasons = ", ".join(reason.value for reason in said.reasons)
            why = f"{said.errno} from the kernel" + (f"; refusals it stands for: {reasons}." if reasons else ".")
            return Explanation(subject=said.errno, meaning=said.meaning, why=why, next_step=said.next_step)
        case ToolSentence() as said:
            return Explanation(
                subject=said.text, meaning=said.meaning, why="kmod's own words.", next_step=said.next_step
            )
        case None:
            return None
