"""What the alerts remember of the last day: states, sampled every five minutes instead of at every scrape.

"It was on and is off", across reboots, needs the past. Reading a day of samples of every host at every evaluation would
take a fleet of 1,000 hosts many seconds; of these recordings it takes a twentieth.
"""

from grafana.src.alerts.alert import Group, Recording
from grafana.src.alerts.promql import remembered

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
        Recording(name=remembered(state), expr=state, says=f"{state}, every five minutes.") for state in STATES
    ),
)
