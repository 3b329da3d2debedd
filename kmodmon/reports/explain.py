"""Explains one message of the kernel or of kmod's tools: what it means, where it comes from, what to do next."""

from dataclasses import dataclass, replace

from kmodmon.events.report import LoadFailure, ReportClass
from kmodmon.reports.signatures import table
from kmodmon.reports.signatures.errno import find_sentence
from kmodmon.reports.signatures.signature import SignatureMatch, texts
from kmodmon.savedlog.savedlog import read_saved_log
from kmodmon.types.units import JsonObject

_NAMELESS = "a_module"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a line of the kernel, or a sentence of kmod's tools, means."""

    subject: str  # name of the signature, or of the errno, or the sentence
    meaning: str
    why: str
    next_step: str
    report_class: ReportClass | None = None  # None: not a line of the kernel
    severity: str | None = None  # None: not a line of the kernel
    module: str | None = None  # None: the line names none
    reason: LoadFailure | None = None  # None: not the refusal of a module
    wording: str = ""  # kernel releases that word it so; empty: not known to change

    def to_json(self) -> JsonObject:
        """Return the public form, `kmodmon explain --json`."""
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
    """Explain one message, with or without the prefix of a log; None when no signature and no sentence matches."""
    records = read_saved_log(text.encode("utf-8", "surrogateescape"))
    lines = [line.lstrip(" ") for record in records for line in texts(record.text)]
    for line in lines:
        match = table.match_line(line)
        if match is not None:
            return _signature(match)
    for line in lines:  # many lines begin with the name of the module, which people leave out
        match = table.match_line(f"{_NAMELESS}: {line}")
        if match is not None:
            return replace(_signature(match), module=None)
    return _sentence(text)


def _signature(match: SignatureMatch) -> Explanation:
    signature = match.signature
    return Explanation(
        subject=signature.name,
        meaning=signature.help,
        why=f"The kernel says so in {signature.origin}.",
        next_step=signature.advice,
        report_class=signature.report_class,
        severity=signature.severity.value,
        module=match.merged_groups.get("module"),
        reason=signature.reason,
        wording=signature.wording,
    )


def _sentence(text: str) -> Explanation | None:
    sentence = find_sentence(text)
    if sentence is None:
        return None
    why = "kmod's own words."
    if sentence.errno is not None:
        reasons = ", ".join(reason.value for reason in sentence.reasons)
        why = f"{sentence.errno} from the kernel" + (f"; refusals it stands for: {reasons}." if reasons else ".")
    return Explanation(
        subject=sentence.errno or sentence.text, meaning=sentence.meaning, why=why, next_step=sentence.next_step
    )
