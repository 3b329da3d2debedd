"""The sources: what is up, what is absent, what was lost."""

from kmodmon.subjects.source import SourceState, SourceStatus
from kmodmon.types.source_name import SourceName
from kmodmon.view.sources import source_view, sources_view
from tests.view.recorded import NO_MODULES, at, in_order, recorded


def test_source_when_shown_then_each_key_has_its_own_value() -> None:
    source = SourceState(
        name=SourceName.KMSG, status=SourceStatus.FAILED, why="lost", last_read=at(77), lost=3, unreadable=4
    )
    assert in_order(source_view(source)) == in_order({
        "source": "kmsg", "present": True, "up": False, "hung": False, "why": "lost", "last_read": 77, "lost": 3,
        "unreadable": 4,
    })  # fmt: skip


def test_source_when_it_was_never_read_then_the_time_is_null() -> None:
    assert in_order(source_view(SourceState(name=SourceName.UEVENT))) == in_order({
        "source": "uevent", "present": False, "up": False, "hung": False, "why": "not read yet",
        "last_read": None, "lost": 0, "unreadable": 0,
    })  # fmt: skip


def test_source_when_it_hangs_then_it_is_there_not_up_and_hung() -> None:
    shown = source_view(SourceState(name=SourceName.MODULES, status=SourceStatus.HUNG, why="/proc/modules: no answer"))
    assert (shown["present"], shown["up"], shown["hung"]) == (True, False, True)


def test_sources_when_a_tree_is_read_then_they_come_in_the_order_of_the_state() -> None:
    state = recorded(NO_MODULES)
    shown = sources_view(state.sources)
    assert [source["source"] for source in shown] == list(state.sources)
    up = {str(source["source"]): source["up"] for source in shown}
    assert (up["kernel"], up["modules"], up["parameters"], up["lockdown"]) == (True, False, True, False)
    assert all(bool(source["why"]) != source["up"] for source in shown)
    assert {source["last_read"] for source in shown if source["up"]} == {state.started.realtime_usec}
