"""States of the last day, sampled every five minutes instead of at every scrape.

An alert that a protection "was on and is off", across reboots, compares a state with its past. Reading the samples of a
day of every host at every evaluation takes many seconds for 1,000 hosts; reading these recordings takes a twentieth.
"""

from grafana.src.alerts.alert import Group, Recording
from grafana.src.alerts.promql import sampled_state

STATES = (
    "instance:kmodmon_lockdown:level",
    "kmodmon_signature_enforced",
    "kmodmon_modules_disabled",
    "kmodmon_secure_boot",
    "kmodmon_hardening",
    "kmodmon_source_present",
)

GROUP = Group(
    name="kmodmon.memory",
    interval="5m",
    recordings=tuple(
        Recording(name=sampled_state(state), expr=state, says=f"{state}, every five minutes.") for state in STATES
    ),
)
