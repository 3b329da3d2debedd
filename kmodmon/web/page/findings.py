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
    note,
    pill,
)
from kmodmon.web.page.page_data import SEVERITY_TONES, PageData

MAX_FINDINGS = 40


def findings(data: PageData) -> Markup:
    """The section, whether or not the policy was applied yet."""
    current = tuple(data.state.findings.current.values())
    if not data.state.findings.judged:
        return element("p", "The policy has not been applied yet.", class_="empty")
    if not current:
        return element("p", "The policy finds nothing wrong.", class_="empty")
    listed = element("ol", *map(_item, current[:MAX_FINDINGS]), class_="cards")
    more = len(current) + data.state.findings.dropped - len(current[:MAX_FINDINGS])
    if more <= 0:
        return listed
    all_of_them = element("a", "all of them", href="api/v1/findings")
    rest = joined(
        (f"and {counted(more, 'more finding')}: ", all_of_them, " (JSON), or ", element("code", "kmodmon check"))
    )
    return joined((listed, element("p", rest, class_="empty")))


def _item(finding: Finding) -> Markup:
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
        note("What to do", advice(finding.advice)) if finding.advice else NOTHING,
        disclosure("Evidence", finding.evidence, f"finding-{quote(finding.id, safe='')}"),
        class_=tone,
    )


def _module(finding: Finding) -> Markup:
    return NOTHING if finding.module is None or finding.module == finding.subject else code(finding.module)


def words(data: PageData) -> Markup:
    """How many findings there are of each severity, for the verdict; nothing for none."""
    if not data.violations:
        return NOTHING
    counts = (f"{number:,} {severity.value}" for severity, number in Counter(data.violations).items())
    return joined((element("a", "Findings", href="#findings"), f": {', '.join(counts)}. "))
