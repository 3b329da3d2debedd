"""What is known of the sources, as a checkpoint that commands read."""

import pytest

from kmodmon.events.sentence import sentence_of
from kmodmon.subjects.source import (
    ReadOutcome,
    SourceState,
    source_read,
    source_summaries,
    sources_from_json,
    sources_to_json,
)
from kmodmon.types.outcome import Absent, Failed, Read
from kmodmon.types.units import Instant, Usec

AT = Instant(realtime_usec=Usec(5), monotonic_usec=Usec(5))


def test_sources_when_saved_and_read_back_then_all_but_times_and_losses_is_there() -> None:
    up = SourceState(name="files", present=True, up=True, why="", last_read=AT, lost=3, unreadable=2)
    failed = SourceState(name="crossview", present=True, why="EACCES")
    back = sources_from_json(sources_to_json({"files": up, "crossview": failed}))
    assert back["files"] == SourceState(name="files", present=True, up=True, why="", unreadable=2)
    assert back["crossview"] == failed
    assert source_summaries(back) == source_summaries({"files": up, "crossview": failed})


def test_sources_when_an_entry_has_another_shape_then_it_is_dropped() -> None:
    assert sources_from_json({"a": 1, "b": {"present": 1, "up": True, "why": "", "unreadable": 0}}) == {}


UP, GONE, DENIED = Read(None), Absent("not mounted"), Failed("EACCES")
OFF = Absent("switched off by s.enabled")


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ((UP, UP), []),
        ((GONE, GONE, UP), []),  # it came: nothing was lost before
        ((UP, DENIED, DENIED, UP), ["Source s fails: EACCES", "Source s works again after: EACCES"]),
        ((UP, GONE, UP), ["Source s fails: not mounted", "Source s works again after: not mounted"]),
        ((UP, OFF, UP), ["Source s works again after: switched off by s.enabled"]),
        ((DENIED, UP), ["Source s fails: EACCES", "Source s works again after: EACCES"]),
    ],
)
def test_source_when_it_fails_and_works_again_then_both_are_told_once(
    outcomes: tuple[ReadOutcome, ...], told: list[str]
) -> None:
    state, said = SourceState(name="s"), []
    for outcome in outcomes:
        state, events = source_read(state, outcome, AT)
        said += [sentence_of(event) for event in events]
    assert said == told
