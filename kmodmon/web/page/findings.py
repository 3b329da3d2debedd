"""What the policy finds wrong at this moment, the worst first, with what to do about it."""

from collections import Counter
from urllib.parse import quote

from kmodmon.subjects.findings import Finding
from kmodmon.web.page.html import (
    NOTHING,
    Markup,
    advice,
    code,
    counted,
    disclosure,
    element,
    facts,
    joined,
    moment,
    pill,
)
from kmodmon.web.page.look import SEVERITY_TONES, PageData

MOST_FINDINGS = 40


def findings(look: PageData) -> Markup:
    """The whole section."""
    found = tuple(look.state.findings.current.values())
    if not look.state.findings.judged:
        return element("p", "The policy has not been applied yet.", class_="empty")
    if not found:
        return element("p", "The policy finds nothing wrong.", class_="empty")
    cards = element("ol", *map(_card, found[:MOST_FINDINGS]), class_="cards")
    more = len(found) + look.state.findings.dropped - len(found[:MOST_FINDINGS])
    if more <= 0:
        return cards
    all_of_them = element("a", "all of them", href="api/v1/findings")
    rest = joined(
        (f"and {counted(more, 'more finding')}: ", all_of_them, " (JSON), or ", element("code", "kmodmon check"))
    )
    return joined((cards, element("p", rest, class_="empty")))


def _card(finding: Finding) -> Markup:
    tone = "plain" if finding.dry_run else SEVERITY_TONES[finding.severity]
    return element(
        "li",
        element(
            "header",
            element("h3", code(finding.subject)),
            pill("dry run" if finding.dry_run else finding.severity.value, tone),
        ),
        element("p", finding.reason) if finding.reason else NOTHING,
        facts(
            (
                ("Rule", code(finding.rule)),
                ("Module", _module(finding)),
                ("Since", NOTHING if finding.since is None else moment(finding.since.realtime_usec)),
            )
        ),
        element("p", element("b", "What to do. "), advice(finding.advice), class_="note")
        if finding.advice
        else NOTHING,
        disclosure("Evidence", finding.evidence, f"finding-{quote(finding.id, safe='')}"),
        class_=tone,
    )


def _module(finding: Finding) -> Markup:
    return NOTHING if finding.module is None or finding.module == finding.subject else code(finding.module)


def words(look: PageData) -> Markup:
    """How many findings there are, for the verdict; nothing for none."""
    if not look.violations:
        return NOTHING
    said = (f"{number:,} {severity.value}" for severity, number in Counter(look.violations).items())
    return joined((element("a", "Findings", href="#findings"), f": {', '.join(said)}. "))
