"""The head of the page: which kernel this is, and in one sentence whether it can be trusted."""

from kmodmon.kernel.taint import letters
from kmodmon.subjects.source import NOT_READ_YET
from kmodmon.types.source_name import SourceName
from kmodmon.web.page import findings
from kmodmon.web.page.html import NOTHING, Markup, code, counted, element, escaped, facts, joined, moment, span
from kmodmon.web.page.look import PageData


def title(look: PageData) -> str:
    """The title of the page: what a row of tabs should tell."""
    kernel = look.state.kernel
    return " · ".join((headline(look), kernel.release if kernel is not None else "unknown kernel", "kmodmon"))


def headline(look: PageData) -> str:
    """The verdict in three words."""
    value = look.state.taint.value
    word = "Taint unknown" if value is None else "Tainted" if value else "Not tainted"
    found = len(look.violations)
    return f"{word}, {counted(found, 'finding')}" if found else word


def identity(look: PageData) -> Markup:
    """Which kernel, since when."""
    kernel = look.state.kernel
    if kernel is None:
        return element("p", "The kernel's release is not known.", class_="kernel")
    boot = kernel.boot_time
    up = NOTHING
    if boot is not None and look.as_of is not None:
        up = element("span", span(look.as_of / 1e6 - boot), data_since=boot)
    return facts(
        (
            ("Kernel", element("span", code(kernel.release), " ", kernel.machine)),
            ("Booted", moment(boot * 1_000_000) if boot is not None else NOTHING),
            ("Up", up),
        ),
        class_="kernel",
        title=kernel.version,
    )


def as_of(look: PageData) -> Markup:
    """When the page was true."""
    if look.as_of is None:
        return element("p", "Nothing has been read yet.", id="asof")
    return element("p", "As of ", moment(look.as_of), id="asof")


def verdict(look: PageData) -> Markup:
    """The banner."""
    return element(
        "div",
        element("p", _badge(look), class_="badge", aria_hidden="true"),
        element("h1", headline(look)),
        element("p", findings.words(look), _sentence(look)),
        class_=f"verdict {look.tone}",
    )


def _badge(look: PageData) -> str:
    value = look.state.taint.value
    return "?" if value is None else letters(value, look.state.taint.flags) or "✓"


def _sentence(look: PageData) -> Markup:
    taint = look.state.taint
    if taint.value is None:
        source = look.state.sources.get(SourceName.TAINT)
        return escaped(f"The kernel's taint cannot be read: {source.why if source is not None else NOT_READ_YET}.")
    if not taint.value:
        return escaped("No taint flag has been set since this kernel was booted.")
    words = (joined((flag.label.replace("_", " "), " (", code(flag.letter), ")")) for flag in look.flags)
    number = element("span", f"tainted = {taint.value}", class_="k")
    return joined((counted(len(look.flags), "taint flag"), ": ", joined(words, ", "), ". ", number))
