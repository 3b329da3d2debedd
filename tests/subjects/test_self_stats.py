"""The numbers that kmodmon exposes about itself."""

from kmodmon.subjects.self_stats import COUNTER, NO_SELF_STATS, SelfCounters, SelfMetric, SelfStats


def test_counters_when_nothing_was_counted_are_as_at_the_start() -> None:
    assert {metric: SelfCounters().snapshot()[metric] for metric in SelfMetric} == {
        metric: NO_SELF_STATS[metric] for metric in SelfMetric
    }
    assert NO_SELF_STATS[SelfMetric.CONFIG_OK] == 1


def test_snapshot_when_counting_goes_on_does_not_change() -> None:
    counters = SelfCounters()
    counters.add(SelfMetric.HTTP_TIMEOUTS)
    before = counters.snapshot()
    assert counters.snapshot() == before
    counters.add(SelfMetric.HTTP_TIMEOUTS, 2)
    assert (before[SelfMetric.HTTP_TIMEOUTS], counters.snapshot()[SelfMetric.HTTP_TIMEOUTS]) == (1, 3)
    assert counters.snapshot() != before


def test_number_that_another_object_keeps_is_read_at_each_snapshot() -> None:
    lost = [1.0]
    counters = SelfCounters()
    counters.bind({SelfMetric.JOURNAL_LOST: lambda: lost[0]})
    before = counters.snapshot()
    lost[0] = 7
    assert (before[SelfMetric.JOURNAL_LOST], counters.snapshot()[SelfMetric.JOURNAL_LOST]) == (1, 7)


def test_names_are_distinct_and_counters_end_in_total() -> None:
    assert len({metric.metric for metric in SelfMetric}) == len(SelfMetric)
    assert [metric for metric in SelfMetric if (metric.kind == COUNTER) is not metric.metric.endswith("_total")] == []


def test_stats_when_given_some_numbers_have_the_others_as_at_the_start() -> None:
    own = SelfStats({SelfMetric.HISTORY_LOST: 3})
    assert (own[SelfMetric.HISTORY_LOST], own[SelfMetric.HISTORY_EVENTS], own[SelfMetric.CONFIG_OK]) == (3, 0, 1)
