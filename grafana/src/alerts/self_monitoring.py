"""Alerts on kmodmon itself: a daemon that does not work must not look like a host on which nothing happens.

`up` and process_start_time_seconds exist for every job, so their rules name the job; other metrics have the prefix
kmodmon_.
"""

from grafana.src.alerts.alert import BELOW_CRITICAL, Alert, AlertSeverity, Group, InhibitRule, Runbook
from grafana.src.alerts.promql import CLEARS, INCREASE_CLEARS, KEEP_FIRING, decreased, increased

JOB = 'job="kmodmon"'
_SERVICE_COMMANDS = ("systemctl status kmodmon", "journalctl -u kmodmon -n 50", "kmodmon doctor")
_HEAD = "kmodmon_history_head_id"
_LAST_READ = "max by (job, instance) (kmodmon_source_last_read_timestamp_seconds)"

_DAEMON = (
    Alert(
        name="KmodmonDown",
        severity=AlertSeverity.CRITICAL,
        expr=f"up{{{JOB}}} == 0",
        keep_firing_for="1m",
        summary="kmodmon does not answer.",
        description="kmodmon on {{ $labels.instance }} cannot be scraped: nobody watches the kernel there.",
        attack=("T1562",),
        # Not the critical ones: else who stops the daemon mutes the alert about the module loaded just before.
        inhibit_rules=(InhibitRule(targets="Kmod.+", equal=("instance",), severities=BELOW_CRITICAL),),
        runbook=Runbook(
            meaning="The daemon was stopped, the host is down, or the network between. Somebody who loads a rootkit "
            "stops what watches first.",
            impact="What happens now is seen later at best: the history and the kernel's log are read on when it "
            "starts again.",
            commands=("systemctl status kmodmon", "journalctl -u kmodmon -n 50", "kmodmon events --since 1h"),
            clears="1m after it answers again.",
        ),
    ),
    Alert(
        name="KmodmonAbsent",
        severity=AlertSeverity.WARNING,
        expr=f"absent(up{{{JOB}}})",
        hold="10m",
        summary="No host is watched by kmodmon.",
        description='Prometheus has no target of the job "kmodmon".',
        runbook=Runbook(
            meaning="The scrape configuration or the service discovery gives no target, or the job has another name: "
            "then change it in the rules.",
            impact="No alert of kmodmon can fire.",
            commands=("promtool check config /etc/prometheus/prometheus.yml", *_SERVICE_COMMANDS[:2]),
            clears="When there is a target.",
        ),
    ),
    Alert(
        name="KmodmonDataOld",
        severity=AlertSeverity.WARNING,
        expr=f"time() - {_LAST_READ} > 300",
        hold="2m",
        summary="kmodmon answers with old data.",
        description="The newest reading of kmodmon on {{ $labels.instance }} is {{ $value | humanizeDuration }} old.",
        runbook=Runbook(
            meaning="The daemon answers and does not read, or the clock of the host is behind.",
            impact="Its alerts come late or, with a wrong clock, never: they compare the host's clock with "
            "Prometheus'.",
            commands=("kmodmon doctor", "date --utc", "journalctl -u kmodmon -n 50"),
            clears="When readings are fresh again.",
        ),
    ),
    Alert(
        name="KmodmonClockAhead",
        severity=AlertSeverity.WARNING,
        expr=f"{_LAST_READ} - time() > 60",
        hold="5m",
        summary="The clock of a host is ahead.",
        description="The clock of {{ $labels.instance }} is {{ $value | humanizeDuration }} ahead of Prometheus'.",
        runbook=Runbook(
            meaning="The daemon says that it read its sources in the future.",
            impact="Alerts about what happened clear that much later.",
            commands=("date --utc", "timedatectl", "kmodmon status"),
            clears="When the clock is right.",
        ),
    ),
    Alert(
        name="KmodmonRestarting",
        severity=AlertSeverity.WARNING,
        expr=f"changes(process_start_time_seconds{{{JOB}}}[15m]) > 2",
        summary="kmodmon is started again and again.",
        description="kmodmon on {{ $labels.instance }} was started at least three times within 15 minutes.",
        runbook=Runbook(
            meaning="It crashes, is killed, or its watchdog ends it.",
            impact="Nothing is lost while the kernel's rings hold it; longer gaps are.",
            commands=_SERVICE_COMMANDS,
            clears="15m after the last start but two.",
        ),
    ),
)

_SOURCES = (
    Alert(
        name="KmodmonSourceDown",
        severity=AlertSeverity.WARNING,
        expr="kmodmon_source_up == 0",
        hold="5m",
        summary="A source of kmodmon cannot be read.",
        description="Source {{ $labels.source }} on {{ $labels.instance }} is there and cannot be read.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="The kernel offers the interface, and reading it fails: permissions, a sandbox, an error. Where "
            "`kmodmon_source_hung` is 1, a reading does not end: the kernel holds a lock, often since a task died.",
            impact="What that source tells is not known; the others go on.",
            commands=("kmodmon doctor", "kmodmon events --since 1h --type SourceLost", "journalctl -u kmodmon -n 50"),
            clears="When it can be read again.",
        ),
    ),
    Alert(
        name="KmodmonSourceGone",
        severity=AlertSeverity.WARNING,
        expr=decreased("kmodmon_source_present"),
        hold="5m",
        summary="An interface that kmodmon read is gone.",
        description="Source {{ $labels.source }} was there within the last day on {{ $labels.instance }} and is not "
        "any more.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="A file system was unmounted, a trace instance removed, a device taken away, or another kernel was "
            "booted.",
            impact="What that source tells is not known; the others go on.",
            commands=("kmodmon doctor", "kmodmon events --since 1d --type SourceLost", "findmnt"),
            clears="When it is back, or a day after it went.",
        ),
    ),
    Alert(
        name="KmodmonRecordsLost",
        severity=AlertSeverity.WARNING,
        expr=increased("kmodmon_source_lost_total", 'source!="kmsg"'),
        summary="The kernel dropped events before kmodmon read them.",
        description="Source {{ $labels.source }} on {{ $labels.instance }} lost events.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="The trace buffer or the netlink socket ran over. The loss is counted, and the lists are read "
            "anew.",
            impact="Who loaded a module, and modules that were there for an instant, may be unknown.",
            commands=("kmodmon doctor", "kmodmon events --since 1h --type SourceLost", "kmodmon events --since 1h"),
            clears=INCREASE_CLEARS,
        ),
    ),
)

_RECORDS = (
    Alert(
        name="KmodmonHistoryFailing",
        severity=AlertSeverity.WARNING,
        expr="kmodmon_history_up == 0",
        hold="5m",
        summary="kmodmon cannot write its history.",
        description="The history of kmodmon on {{ $labels.instance }} cannot be written: events wait in memory.",
        runbook=Runbook(
            meaning="The disk is full, read-only or broken, or the database is damaged.",
            impact="A restart loses what waits; when the queue is full the oldest is lost and counted.",
            commands=("kmodmon events --verify", "df /var/lib/kmodmon", "journalctl -u kmodmon -n 50"),
            clears="When it can be written again.",
        ),
    ),
    Alert(
        name="KmodmonEventsLost",
        severity=AlertSeverity.CRITICAL,
        expr=increased("kmodmon_history_lost_total") + "\n  or " + increased("kmodmon_journal_lost_total"),
        keep_firing_for=KEEP_FIRING,
        summary="kmodmon lost events.",
        description="Events on {{ $labels.instance }} never reached the history or the journal.",
        attack=("T1562",),
        runbook=Runbook(
            meaning="The history could not be written for so long that the queue overran, or the journal did not take "
            "an event.",
            impact="The record of what happened has holes. Metrics and alerts are not affected.",
            commands=("kmodmon events --verify", "df /var/lib/kmodmon", "journalctl -u kmodmon -n 50"),
            clears=CLEARS,
        ),
    ),
    Alert(
        name="KmodmonHistoryTruncated",
        severity=AlertSeverity.CRITICAL,
        expr=f"resets({_HEAD}[15m]) > 0\n  or {decreased(_HEAD)}",
        keep_firing_for=KEEP_FIRING,
        summary="The history of kmodmon has lost its end.",
        description="The newest event of kmodmon on {{ $labels.instance }} has a lower id than one that was scraped "
        "before.",
        attack=("T1070",),
        runbook=Runbook(
            meaning="Ids only rise. The newest events were cut off, an older copy was put in place, or the history was "
            "deleted. If kmodmon itself gave up a damaged file, an event HistoryReplaced, of type SourceLost, says so.",
            impact="What happened before may be missing from the history; the journal may still have it.",
            commands=(
                "kmodmon events --verify --journal",
                "kmodmon events --verify --seal-key -",
                "kmodmon events --type SourceLost --since 1d",
            ),
            clears="When the id is higher than before, 20 minutes after it fell at the earliest; or a day later.",
        ),
    ),
    Alert(
        name="KmodmonConfigRefused",
        severity=AlertSeverity.WARNING,
        expr="kmodmon_config_last_reload_successful == 0",
        hold="2m",
        summary="The settings of kmodmon were refused.",
        description="The settings file on {{ $labels.instance }} has an error; the earlier settings are in force.",
        runbook=Runbook(
            meaning="A changed file could not be taken over as a whole.",
            impact="What you changed has no effect, and the daemon would not start with it.",
            commands=(
                "kmodmon status",
                "kmodmon events --since 1d --type ConfigRefused",
                "journalctl -u kmodmon -n 50",
            ),
            clears="When the file is right.",
        ),
    ),
    Alert(
        name="KmodmonFailing",
        severity=AlertSeverity.WARNING,
        expr=increased("kmodmon_exposition_failures_total")
        + "\n  or "
        + increased("kmodmon_http_handler_errors_total"),
        summary="kmodmon has an error in itself.",
        description="kmodmon on {{ $labels.instance }} could not make a metric or an answer; its log says which.",
        runbook=Runbook(
            meaning="A bug: please report it with the lines of the log.",
            impact="A metric is missing, or a page.",
            commands=_SERVICE_COMMANDS,
            clears=INCREASE_CLEARS,
        ),
    ),
    Alert(
        name="KmodmonAuthFailing",
        severity=AlertSeverity.INFO,
        expr=increased("kmodmon_http_auth_failures_total", least=10),
        summary="Requests to kmodmon come with wrong passwords.",
        description="kmodmon on {{ $labels.instance }} refused ten requests or more within 15 minutes.",
        attack=("T1110",),
        runbook=Runbook(
            meaning="A scraper has an old password, or somebody tries.",
            impact="None: the checks are slow on purpose, and few at a time.",
            commands=_SERVICE_COMMANDS,
            clears="15m after it became rarer.",
        ),
    ),
)

GROUP = Group(
    name="kmodmon.self", alerts=(*_DAEMON, *_SOURCES, *_RECORDS), sampled_states=("kmodmon_source_present", _HEAD)
)
