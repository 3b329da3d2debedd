from tests.alerts.case import Case, Input, always, series, since, steps
from tests.alerts.cases.log import counter_case

_UP = series("up")
_READ = series("kmodmon_source_last_read_timestamp_seconds", source="taint")
_OTHER = series("kmodmon_source_last_read_timestamp_seconds", source="parameters")
_STARTED = series("process_start_time_seconds")


def state(metric: str, value: float, **labels: str) -> Input:
    """`value` from the tenth minute to the thirtieth, else 1."""
    return {series(metric, **labels): steps((1, 10), (value, 20), (1, 30))}


def briefly(metric: str, **labels: str) -> Input:
    return {series(metric, **labels): steps((1, 10), (0, 1), (1, 30))}


def state_case(alert: str, metric: str, description: str, miss: str, near: Input, **labels: str) -> Case:
    return Case(
        alert=alert,
        fires=state(metric, 0, **labels),
        at="16m",
        labels=labels,
        description=description,
        clears="31m",
        miss=miss,
        near=near,
    )


_HEAD = series("kmodmon_history_head_id")

REACH = (
    Case(
        alert="KmodmonDown",
        fires={_UP: steps((1, 10), (0, 10), (1, 10))},
        at="10m",
        description="kmodmon on db1:10069 cannot be scraped: nobody watches the kernel there.",
        clears="22m",
        miss="another job is down",
        near={'up{instance="db1:9100",job="node"}': always(0)},
    ),
    Case(
        alert="KmodmonAbsent",
        fires={'up{instance="db1:9100",job="node"}': always(1), _UP: since(30, 1)},
        at="11m",
        labels={"job": "kmodmon"},
        description='Prometheus has no target of the job "kmodmon".',
        clears="31m",
        miss="the target is there and down, which has its own alert",
        near={_UP: always(0)},
        host=False,
    ),
    Case(
        alert="KmodmonDataOld",
        fires={_READ: since(10, 600, before=0, until=30) + " 1800+15x60"},
        at="20m",
        description="The newest reading of kmodmon on db1:10069 is 10m 0s old.",
        clears="31m",
        miss="one source is old, because it is seldom read",
        near={_READ: "0+15x120", _OTHER: always(0)},
    ),
    Case(
        alert="KmodmonClockAhead",
        fires={_READ: "120+15x59 900+15x60"},
        at="10m",
        description="The clock of db1:10069 is 2m 0s ahead of Prometheus'.",
        clears="16m",
        miss="it is ahead by less than a minute",
        near={_READ: "30+15x120"},
    ),
    Case(
        alert="KmodmonRestarting",
        fires={_STARTED: steps((1, 2), (2, 2), (3, 2), (4, 60))},
        at="6m",
        description="kmodmon on db1:10069 was started at least three times within 15 minutes.",
        clears="22m",
        miss="it was restarted twice",
        near={_STARTED: steps((1, 2), (2, 2), (3, 60))},
    ),
)

OTHERS = (
    state_case(
        "KmodmonSourceDown",
        "kmodmon_source_up",
        "Source trace on db1:10069 is there and cannot be read.",
        "it could not be read for a minute",
        briefly("kmodmon_source_up", source="trace"),
        source="trace",
    ),
    state_case(
        "KmodmonSourceGone",
        "kmodmon_source_present",
        "Source lockdown was there within the last day on db1:10069 and is not any more.",
        "it never was there",
        {series("kmodmon_source_present", source="lockdown"): always(0)},
        source="lockdown",
    ),
    counter_case(
        "KmodmonRecordsLost",
        "kmodmon_source_lost_total",
        "Source trace on db1:10069 lost events.",
        source="trace",
    ),
    state_case(
        "KmodmonHistoryFailing",
        "kmodmon_history_up",
        "The history of kmodmon on db1:10069 cannot be written: events wait in memory.",
        "the disk was busy for a minute",
        briefly("kmodmon_history_up"),
    ),
    counter_case(
        "KmodmonEventsLost",
        "kmodmon_history_lost_total",
        "Events on db1:10069 never reached the history or the journal.",
        clears="31m",
    ),
    counter_case(
        "KmodmonEventsLost",
        "kmodmon_journal_lost_total",
        "Events on db1:10069 never reached the history or the journal.",
        clears="31m",
    ),
    Case(
        alert="KmodmonHistoryTruncated",
        fires={_HEAD: steps((300, 10), (200, 10), (301, 40))},
        at="11m",
        description="The newest event of kmodmon on db1:10069 has a lower id than one that was scraped before.",
        clears="31m",
        miss="it goes on after the daemon was down",
        near={_HEAD: steps((300, 10), (None, 10), (301, 40))},
        near_at="21m",
    ),
    Case(
        alert="KmodmonHistoryTruncated",
        fires={_HEAD: steps((300, 10), (None, 50), (200, 60), (301, 30))},
        at="61m",
        description="The newest event of kmodmon on db1:10069 has a lower id than one that was scraped before.",
        clears="126m",
        miss="it stays as it is",
        near={_HEAD: always(300)},
    ),
    state_case(
        "KmodmonConfigRefused",
        "kmodmon_config_last_reload_successful",
        "The settings file on db1:10069 has an error; the earlier settings are in force.",
        "the file was put right within a minute",
        briefly("kmodmon_config_last_reload_successful"),
    ),
    counter_case(
        "KmodmonFailing",
        "kmodmon_exposition_failures_total",
        "kmodmon on db1:10069 could not make a metric or an answer; its log says which.",
    ),
    counter_case(
        "KmodmonFailing",
        "kmodmon_http_handler_errors_total",
        "kmodmon on db1:10069 could not make a metric or an answer; its log says which.",
    ),
    Case(
        alert="KmodmonAuthFailing",
        fires={series("kmodmon_http_auth_failures_total"): steps((0, 10), (20, 60))},
        at="10m",
        description="kmodmon on db1:10069 refused ten requests or more within 15 minutes.",
        clears="26m",
        miss="somebody mistyped",
        near={series("kmodmon_http_auth_failures_total"): steps((0, 10), (3, 60))},
        near_at="12m",
    ),
)

CASES = (*REACH, *OTHERS)
