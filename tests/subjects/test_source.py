"""What is known of the sources, as a checkpoint that commands read."""

import pytest

from kmodmon.events.sentence import sentence_of
from kmodmon.subjects.source import (
    ReadOutcome,
    SourceState,
    SourceStatus,
    source_read,
    source_summaries,
    sources_from_json,
    sources_to_json,
)
from kmodmon.types.outcome import Absent, Failed, Read, switched_off
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Instant, Usec

AT = Instant(realtime_usec=Usec(5), monotonic_usec=Usec(5))


def test_sources_when_saved_and_read_back_then_all_but_times_and_losses_is_there() -> None:
    up = SourceState(name=SourceName.FILES, status=SourceStatus.UP, why="", last_read=AT, lost=3, unreadable=2)
    failed = SourceState(name=SourceName.CROSSVIEW, status=SourceStatus.FAILED, why="EACCES")
    hung = SourceState(name=SourceName.TAINT, status=SourceStatus.HUNG, why="no answer")
    assert sources_from_json(sources_to_json({SourceName.TAINT: hung}))[SourceName.TAINT] == hung
    back = sources_from_json(sources_to_json({SourceName.FILES: up, SourceName.CROSSVIEW: failed}))
    assert back[SourceName.FILES] == SourceState(name=SourceName.FILES, status=SourceStatus.UP, why="", unreadable=2)
    assert back[SourceName.CROSSVIEW] == failed
    assert source_summaries(back) == source_summaries({SourceName.FILES: up, SourceName.CROSSVIEW: failed})


def test_sources_when_an_entry_has_another_shape_then_it_is_dropped() -> None:
    assert (
        sources_from_json(
            {
                "kmsg": 1,
                "trace": {"status": 1, "why": "", "unreadable": 0},
                "taint": {},
                "files": {"status": "new", "why": "", "unreadable": 0},
                "new": {"status": "up", "why": "", "unreadable": 0},
            }
        )
        == {}
    )


UP, GONE, DENIED = Read(None), Absent("not mounted"), Failed("EACCES")
HUNG = Failed("no answer", hung=True)
OFF = switched_off("kmsg.enabled")


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ((UP, UP), []),
        ((GONE, GONE, UP), []),  # it came: nothing was lost before
        ((UP, DENIED, DENIED, UP), ["Source kmsg fails: EACCES", "Source kmsg works again after: EACCES"]),
        ((UP, GONE, UP), ["Source kmsg fails: not mounted", "Source kmsg works again after: not mounted"]),
        ((UP, OFF, UP), ["Source kmsg works again after: switched off by kmsg.enabled"]),
        ((UP, HUNG, HUNG, UP), ["Source kmsg fails: no answer", "Source kmsg works again after: no answer"]),
        ((HUNG, HUNG, UP), ["Source kmsg fails: no answer", "Source kmsg works again after: no answer"]),
        ((DENIED, UP), ["Source kmsg fails: EACCES", "Source kmsg works again after: EACCES"]),
    ],
)
def test_source_when_it_fails_and_works_again_then_both_are_told_once(
    outcomes: tuple[ReadOutcome, ...], told: list[str]
) -> None:
    state, said = SourceState(name=SourceName.KMSG), []
    for outcome in outcomes:
        state, events = source_read(state, outcome, AT)
        said += [sentence_of(event) for event in events]
    assert said == told
