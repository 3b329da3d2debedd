"""What happened: the timeline, the kernel's reports, and what kmodmon itself can see."""

from collections.abc import Mapping, Sequence

from kmodmon.events.event import Event, StoredEvent
from kmodmon.events.sentence import actor_words, sentence_of
from kmodmon.subjects.self_stats import SelfMetric, SelfStats
from kmodmon.subjects.source import SourceState
from kmodmon.types.units import JsonValue
from kmodmon.web.page.html import (
    NOTHING,
    Markup,
    binary_size,
    code,
    counted,
    disclosure,
    element,
    escaped,
    facts,
    joined,
    moment,
    pill,
)
from kmodmon.web.page.look import SEVERITY_TONES, PageData

MOST_EVENTS = 100
OPEN_EVENTS = 20
MOST_REPORTS = 20
MOST_FRAMES = 24


def timeline(look: PageData) -> Markup:
    """Events, newest first: the newest in sight, older ones behind a summary."""
    if look.trouble:
        return element("p", f"The history cannot be read: {look.trouble}", class_="empty warn")
    if not look.events:
        return element("p", "Nothing has happened yet.", class_="empty")
    recent, older = look.events[:OPEN_EVENTS], look.events[OPEN_EVENTS:]
    shown = element("ol", *map(_event, recent), class_="events")
    if not older:
        return shown
    summary = element("summary", counted(len(older), "earlier event"))
    return joined((shown, element("details", summary, element("ol", *map(_event, older), class_="events"), id="older")))


def last_id(look: PageData) -> int:
    """Number of the newest event on the page."""
    return look.events[0].id if look.events else 0


def _event(stored: StoredEvent) -> Markup:
    event = stored.event
    return element(
        "li",
        moment(event.at.realtime_usec),
        pill(event.severity.value, SEVERITY_TONES[event.severity]),
        element("p", sentence_of(event), class_="say"),
        disclosure("Evidence", event.evidence, f"evidence-e{stored.id}"),
        id=f"e{stored.id}",
        class_=SEVERITY_TONES[event.severity],
    )


def reports(look: PageData) -> Markup:
    """What the kernel said about itself, newest first."""
    if look.trouble:
        return element("p", "The history cannot be read.", class_="empty warn")
    if not look.reports:
        return element("p", "The kernel has reported no failure that the history knows of.", class_="empty")
    return element("ol", *map(_report, look.reports), class_="cards")


def _report(stored: StoredEvent) -> Markup:
    event = stored.event
    said = event.fields
    place = f"report-{stored.id}"
    return element(
        "li",
        element(
            "header",
            element("h3", _word(said.get("title")) or sentence_of(event), id=place),
            pill(event.severity.value, SEVERITY_TONES[event.severity]),
        ),
        element("p", moment(event.at.realtime_usec), " ", code(_word(said.get("signature"))), class_="when"),
        facts(_where(event, said)),
        _trace(said.get("frames"), f"trace-{stored.id}"),
        disclosure("Evidence", event.evidence, f"evidence-r{stored.id}"),
        class_=SEVERITY_TONES[event.severity],
        aria_labelledby=place,
    )


def _where(event: Event, said: Mapping[str, JsonValue]) -> tuple[tuple[str, Markup], ...]:
    task, pid, cpu, function = _word(said.get("comm")), said.get("pid"), said.get("cpu"), _word(said.get("function"))
    who = "" if not task else f"{task}[{pid}]" if isinstance(pid, int) else task
    return (
        ("Module", NOTHING if event.module is None else code(event.module)),
        ("Function", code(function) if function else NOTHING),
        ("Task", code(who) if who else NOTHING),
        ("CPU", escaped(str(cpu)) if isinstance(cpu, int) else NOTHING),
        ("By", NOTHING if event.actor is None else code(actor_words(event.actor))),
        ("Panic", element("strong", "the machine ended here") if said.get("panic") is True else NOTHING),
    )


def _trace(frames: JsonValue, place: str) -> Markup:
    if not isinstance(frames, Sequence) or isinstance(frames, str) or not frames:
        return NOTHING
    return disclosure("Call trace", [str(frame) for frame in frames], place, MOST_FRAMES)


def _word(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def sources(look: PageData) -> Markup:
    """What can be seen on this host: a row for each source that has something to say, a word for the others."""
    known = look.state.sources.values()
    quiet = [source for source in known if source.up and not source.lost and not source.unreadable]
    noted = sorted((source for source in known if source not in quiet), key=lambda source: (source.up, source.present))
    parts: list[Markup] = []
    if quiet:
        names = joined((code(source.name) for source in quiet), ", ")
        parts.append(element("p", pill("up", "good"), " ", names, class_="quiet"))
    if noted:
        headings = (element("th", name, scope="col") for name in ("Source", "State", "Why, and what was missed"))
        head, body = element("tr", *headings), map(_source, noted)
        parts.append(element("table", element("thead", head), element("tbody", *body), class_="sources"))
    return joined((*parts, _own(look.state.own)))


def _source(source: SourceState) -> Markup:
    word, tone = ("up", "good") if source.up else ("failing", "bad") if source.present else ("absent", "unknown")
    said = [source.why] if source.why else []
    if source.lost:
        said.append(f"{source.lost:,} lost")
    if source.unreadable:
        said.append(f"{source.unreadable:,} unreadable")
    return element(
        "tr",
        element("th", code(source.name), scope="row"),
        element("td", pill(word, tone)),
        element("td", "; ".join(said)),
    )


def _own(own: SelfStats) -> Markup:
    events, size = int(own[SelfMetric.HISTORY_EVENTS]), int(own[SelfMetric.HISTORY_BYTES])
    lost = int(own[SelfMetric.HISTORY_LOST] + own[SelfMetric.JOURNAL_LOST])
    unwritable, refused = not own[SelfMetric.HISTORY_HEALTHY], not own[SelfMetric.CONFIG_OK]
    return facts(
        (
            ("History", escaped(f"{counted(events, 'event')}, {binary_size(size)}")),
            (
                "Trouble",
                element("strong", "the history cannot be written") if unwritable else NOTHING,
            ),
            ("Lost", element("strong", counted(lost, "event")) if lost else NOTHING),
            ("Settings", element("strong", "a changed file was refused") if refused else NOTHING),
        ),
        class_="own",
    )
