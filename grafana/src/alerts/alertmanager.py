"""grafana/alertmanager.yml: an example of routing, grouping and inhibition that fits the alerts.

The inhibitions come from the declarations; two general ones are here. `equal` compares labels that both sides lack as
equal, so a rule that speaks of a module names only sources that have one.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from grafana.src.alerts.alert import Alert, Inhibit, Level

_HEAD = """# Generated from the declarations in grafana/src/alerts/ by `make generate`; do not edit, copy.
# An example for Alertmanager 0.22 or newer. Put your own receivers in place of the two webhooks.
route:
  receiver: tickets
  # One notification for a host, whatever happens there: what belongs together arrives together.
  group_by: [instance]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 12h
  routes:
    # For dashboards only.
    - matchers: ['severity="info"']
      receiver: nobody
    # A daemon that is restarted answers again before this is sent; a network that fails is one notification, not 1,000.
    - matchers: ['alertname="KmodmonDown"']
      receiver: on-call
      group_by: [alertname]
      group_wait: 2m
      repeat_interval: 4h
    - matchers: ['severity="critical"']
      receiver: on-call
      group_wait: 10s
      group_interval: 1m
      repeat_interval: 4h

receivers:
  - name: nobody
  - name: on-call
    webhook_configs:
      - url: http://127.0.0.1:9098/on-call
  - name: tickets
    webhook_configs:
      - url: http://127.0.0.1:9098/tickets

inhibit_rules:
  # Whoever is woken about a module on a host need not be told the lesser things about it.
  - source_matchers: ['severity="critical"', 'alertname=~"Kmod.+"', 'module=~".+"']
    target_matchers: ['severity=~"warning|info"', 'alertname=~"Kmod.+"']
    equal: [instance, module]
"""


def example(alerts: Iterable[Alert]) -> str:
    """The whole file."""
    return _HEAD + "".join(_rules(alerts))


def _rules(alerts: Iterable[Alert]) -> Iterator[str]:
    pairs = sorted(((inhibit, alert.name) for alert in alerts for inhibit in alert.inhibits), key=_key)
    for _, same in groupby(pairs, key=lambda pair: _key(pair)[:3]):
        found = tuple(same)
        yield _rule(found[0][0], [name for _, name in found])


def _key(pair: tuple[Inhibit, str]) -> tuple[str, tuple[str, ...], tuple[str, ...], str]:
    inhibit, name = pair
    return inhibit.targets, inhibit.equal, tuple(inhibit.levels), name


def _rule(inhibit: Inhibit, names: list[str]) -> str:
    source = f'alertname="{names[0]}"' if len(names) == 1 else f'alertname=~"{"|".join(names)}"'
    targets = [f'alertname=~"{inhibit.targets}"']
    if len(inhibit.levels) < len(Level):
        targets.append(f'severity=~"{"|".join(inhibit.levels)}"')
    listed = ", ".join(f"'{target}'" for target in targets)
    return (
        f"  - source_matchers: ['{source}']\n    target_matchers: [{listed}]\n    equal: [{', '.join(inhibit.equal)}]\n"
    )
