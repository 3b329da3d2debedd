"""The timeline of events, the kernel's reports, and the state of kmodmon's own sources and history."""

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
    table,
)
from kmodmon.web.page.page_data import SEVERITY_TONES, PageData

MAX_EVENTS = 100
OPEN_EVENTS = 20
MAX_REPORTS = 20
MAX_FRAMES = 24


def timeline(data: PageData) -> Markup:
    """Events, newest first: OPEN_EVENTS of them visible, older ones in a closed ``details``."""
    if data.history_error:
        return element("p", f"The history cannot be read: {data.history_error}", class_="empty warn")
    if not data.events:
        return element("p", "Nothing has happened yet.", class_="empty")
    recent, older = data.events[:OPEN_EVENTS], data.events[OPEN_EVENTS:]
    shown = element("ol", *map(_event, recent), class_="events")
    if not older:
        return shown
    summary = element("summary", counted(len(older), "earlier event"))
    return joined((shown, element("details", summary, element("ol", *map(_event, older), class_="events"), id="older")))


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


def reports(data: PageData) -> Markup:
    """The reports of the kernel log (oops, lockup and the like), newest first."""
    if data.history_error:
        return element("p", "The history cannot be read.", class_="empty warn")
    if not data.reports:
        return element("p", "The kernel has reported no failure that the history knows of.", class_="empty")
    return element("ol", *map(_report, data.reports), class_="cards")


def _report(stored: StoredEvent) -> Markup:
    event = stored.event
    fields = event.fields
    heading_id = f"report-{stored.id}"
    unconfirmed = "Unconfirmed: " if fields.get("confirmed") is False else ""
    heading = unconfirmed + _word(fields.get("title")) if _word(fields.get("title")) else sentence_of(event)
    return element(
        "li",
        element(
            "header",
            element("h3", heading, id=heading_id),
            pill(event.severity.value, SEVERITY_TONES[event.severity]),
        ),
        element("p", moment(event.at.realtime_usec), " ", code(_word(fields.get("signature"))), class_="when"),
        facts(_where(event, fields)),
        _trace(fields.get("frames"), f"trace-{stored.id}"),
        disclosure("Evidence", event.evidence, f"evidence-r{stored.id}"),
        class_=SEVERITY_TONES[event.severity],
        aria_labelledby=heading_id,
    )


def _where(event: Event, fields: Mapping[str, JsonValue]) -> tuple[tuple[str, Markup], ...]:
    comm, function = _word(fields.get("comm")), _word(fields.get("function"))
    pid, cpu = fields.get("pid"), fields.get("cpu")
    task = f"{comm}[{pid}]" if comm and isinstance(pid, int) else comm
    return (
        ("Module", NOTHING if event.module is None else code(event.module)),
        ("Function", code(function) if function else NOTHING),
        ("Task", code(task) if task else NOTHING),
        ("CPU", escaped(str(cpu)) if isinstance(cpu, int) else NOTHING),
        ("By", NOTHING if event.actor is None else code(actor_words(event.actor))),
        ("Panic", element("strong", "the machine ended here") if fields.get("panic") is True else NOTHING),
    )


def _trace(frames: JsonValue, details_id: str) -> Markup:
    if not isinstance(frames, Sequence) or isinstance(frames, str) or not frames:
        return NOTHING
    return disclosure("Call trace", [str(frame) for frame in frames], details_id, MAX_FRAMES)


def _word(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def sources(data: PageData) -> Markup:
    """A row for each source that is not up or has lost something, and the names of the others."""
    states = data.state.sources.values()
    quiet = [source for source in states if source.up and not source.lost and not source.unreadable]
    noted = sorted((source for source in states if source not in quiet), key=lambda source: (source.up, source.present))
    parts: list[Markup] = []
    if quiet:
        names = joined((code(source.name) for source in quiet), ", ")
        parts.append(element("p", pill("up", "good"), " ", names, class_="quiet"))
    if noted:
        headings = ("Source", "State", "Why, and what was missed")
        parts.append(table(headings, map(_source, noted), class_="sources"))
    return joined((*parts, _self_stats(data.state.own)))


def _source(source: SourceState) -> Markup:
    word, tone = ("up", "good") if source.up else ("failing", "bad") if source.present else ("absent", "unknown")
    notes = [source.why] if source.why else []
    if source.lost:
        notes.append(f"{source.lost:,} lost")
    if source.unreadable:
        notes.append(f"{source.unreadable:,} unreadable")
    return element(
        "tr",
        element("th", code(source.name), scope="row"),
        element("td", pill(word, tone)),
        element("td", "; ".join(notes)),
    )


def _self_stats(own: SelfStats) -> Markup:
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
