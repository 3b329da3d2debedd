"""What is known of the sources, as a checkpoint that commands read."""

from kmodmon.model.source import SourceState, sources_from_json, sources_to_json, standing
from kmodmon.model.units import Instant, Usec

AT = Instant(realtime_usec=Usec(5), monotonic_usec=Usec(5))


def test_sources_when_saved_and_read_back_then_all_but_times_and_losses_is_there() -> None:
    up = SourceState(name="files", present=True, up=True, why="", last_read=AT, lost=3, unreadable=2)
    failed = SourceState(name="crossview", present=True, why="EACCES")
    back = sources_from_json(sources_to_json({"files": up, "crossview": failed}))
    assert back["files"] == SourceState(name="files", present=True, up=True, why="", unreadable=2)
    assert back["crossview"] == failed
    assert standing(back) == standing({"files": up, "crossview": failed})


def test_sources_when_an_entry_has_another_shape_then_it_is_dropped() -> None:
    assert sources_from_json({"a": 1, "b": {"present": 1, "up": True, "why": "", "unreadable": 0}, "c": {}}) == {}
