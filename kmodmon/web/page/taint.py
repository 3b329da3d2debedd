"""The taint ledger: for each flag its meaning, when it was set, by what and by whom, and what to do about it."""

from kmodmon.events.cause import BEFORE_START, UNEXPLAINED, CauseKind
from kmodmon.events.sentence import actor_words
from kmodmon.kernel.taint import Flag
from kmodmon.lifecycle.inventory import Inventory
from kmodmon.subjects.taint import TaintEntry
from kmodmon.view.taint import carriers
from kmodmon.web.page.html import (
    NOTHING,
    Markup,
    advice,
    code,
    code_list,
    disclosure,
    element,
    escaped,
    facts,
    joined,
    moment,
    note,
    pill,
)
from kmodmon.web.page.page_data import TIER_TONES, PageData

MAX_CARRIERS = 24


def ledger(data: PageData) -> Markup:
    """An article for each flag that is set, the gravest first."""
    taint, inventory = data.state.taint, data.state.inventory
    if taint.value is None:
        return element("p", "The kernel's taint could not be read.", class_="empty")
    if not data.flags:
        return element("p", "No flag is set.", class_="empty")
    worst_first = sorted(data.flags, key=lambda flag: (-list(TIER_TONES).index(flag.tier), flag.bit))
    articles = (_flag(flag, taint.ledger.get(flag.bit), inventory) for flag in worst_first)
    return element("div", *articles, class_="flags")


def _flag(flag: Flag, entry: TaintEntry | None, inventory: Inventory) -> Markup:
    heading_id = f"flag-{flag.bit}"
    tone = TIER_TONES[flag.tier]
    return element(
        "article",
        element(
            "header",
            element("span", flag.letter, class_="letter", aria_hidden="true"),
            element("h3", flag.label.replace("_", " "), id=heading_id),
            pill(flag.tier.value, tone),
        ),
        element("p", flag.cause),
        facts((*_history(entry), ("Carried by", _carriers(inventory, flag)))),
        note("Why it matters", flag.why),
        note("What to do", advice(flag.advice)),
        disclosure("Evidence", () if entry is None else entry.evidence, f"evidence-{flag.bit}"),
        class_=f"flag {tone}",
        aria_labelledby=heading_id,
    )


def _history(entry: TaintEntry | None) -> tuple[tuple[str, Markup], ...]:
    if entry is None:
        return (("Cause", escaped("being looked into")),)
    return (
        ("Since", escaped("before kmodmon first looked") if entry.since is None else moment(entry.since.realtime_usec)),
        ("Cause", _cause(entry)),
        ("By", NOTHING if entry.actor is None else code(actor_words(entry.actor))),
    )


def _cause(entry: TaintEntry) -> Markup:
    if entry.cause == BEFORE_START:
        return escaped("not known: nothing in the kernel's log tells of it")
    if entry.cause == UNEXPLAINED:
        return element("strong", "unexplained: nothing that kmodmon saw has set it")
    cause = entry.cause
    kind = "kernel report" if cause.kind is CauseKind.REPORT else cause.kind.value
    words = joined((kind, " ", code(cause.name))) if cause.name else escaped(kind)
    if entry.module is not None and entry.module != cause.name:
        return joined((words, " in module ", code(entry.module)))
    return words


def _carriers(inventory: Inventory, flag: Flag) -> Markup:
    return code_list(carriers(inventory, flag), MAX_CARRIERS)
