"""States of the last day, sampled every five minutes instead of at every scrape.

An alert that a protection "was on and is off", across reboots, compares a state with its past. Reading the samples of a
day of every host at every evaluation takes many seconds for 1,000 hosts; reading these recordings takes a twentieth.
"""

from collections.abc import Iterable

from grafana.src.alerts.alert import Group, Recording
from grafana.src.alerts.promql import sampled_state


def state_samples(groups: Iterable[Group]) -> Group:
    """The recordings that the alerts of these groups compare with: a sample of each of their `sampled_states`."""
    recordings = tuple(
        Recording(name=sampled_state(state), expr=state, description=f"{state}, every five minutes.")
        for group in groups
        for state in group.sampled_states
    )
    return Group(name="kmodmon.memory", interval="5m", recordings=recordings)
