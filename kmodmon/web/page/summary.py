"""The head of the page: which kernel runs, and a verdict on its taint and findings."""

from kmodmon.kernel.taint import letters
from kmodmon.subjects.source import NOT_READ_YET
from kmodmon.types.source_name import SourceName
from kmodmon.web.page import findings
from kmodmon.web.page.html import NOTHING, Markup, code, counted, element, escaped, facts, joined, moment, span
from kmodmon.web.page.page_data import PageData


def title(data: PageData) -> str:
    """The title of the page, the verdict first: a narrow tab shows only the start."""
    kernel = data.state.kernel
    return " · ".join((headline(data), kernel.release if kernel is not None else "unknown kernel", "kmodmon"))


def headline(data: PageData) -> str:
    """The verdict in a few words: taint and the number of findings."""
    value = data.state.taint.value
    word = "Taint unknown" if value is None else "Tainted" if value else "Not tainted"
    number = len(data.violations)
    return f"{word}, {counted(number, 'finding')}" if number else word


def identity(data: PageData) -> Markup:
    """Release, machine, boot time and uptime of the kernel."""
    kernel = data.state.kernel
    if kernel is None:
        return element("p", "The kernel's release is not known.", class_="kernel")
    boot = kernel.boot_time
    up = NOTHING
    if boot is not None and data.as_of is not None:
        up = element("span", span(data.as_of / 1e6 - boot), data_since=boot)
    return facts(
        (
            ("Kernel", element("span", code(kernel.release), " ", kernel.machine)),
            ("Booted", moment(boot * 1_000_000) if boot is not None else NOTHING),
            ("Up", up),
        ),
        class_="kernel",
        title=kernel.version,
    )


def as_of(data: PageData) -> Markup:
    """When the sources that the page shows were last read."""
    if data.as_of is None:
        return element("p", "Nothing has been read yet.", id="asof")
    return element("p", "As of ", moment(data.as_of), id="asof")


def verdict(data: PageData) -> Markup:
    """The banner: the taint letters, the headline, and a sentence."""
    return element(
        "div",
        element("p", _badge(data), class_="badge", aria_hidden="true"),
        element("h1", headline(data)),
        element("p", findings.words(data), _sentence(data)),
        class_=f"verdict {data.tone}",
    )


def _badge(data: PageData) -> str:
    value = data.state.taint.value
    return "?" if value is None else letters(value, data.state.taint.flags) or "✓"


def _sentence(data: PageData) -> Markup:
    taint = data.state.taint
    if taint.value is None:
        source = data.state.sources.get(SourceName.TAINT)
        return escaped(f"The kernel's taint cannot be read: {source.why if source is not None else NOT_READ_YET}.")
    if not taint.value:
        return escaped("No taint flag has been set since this kernel was booted.")
    words = (joined((flag.label.replace("_", " "), " (", code(flag.letter), ")")) for flag in data.flags)
    number = element("span", f"tainted = {taint.value}", class_="k")
    return joined((counted(len(data.flags), "taint flag"), ": ", joined(words, ", "), ". ", number))
