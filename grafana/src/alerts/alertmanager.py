"""grafana/alertmanager.yml: an example of routing, grouping and inhibition that fits the alerts.

The inhibitions come from the declarations of the alerts; one general inhibition is in _HEAD. Alertmanager takes a label
that both alerts lack as equal, so an inhibition about a module requires that its source alert has the label `module`.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from grafana.src.alerts.alert import Alert, AlertSeverity, InhibitRule

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
    """The content of grafana/alertmanager.yml."""
    return _HEAD + "".join(_rules(alerts))


def _rules(alerts: Iterable[Alert]) -> Iterator[str]:
    pairs = sorted(((rule, alert.name) for alert in alerts for rule in alert.inhibit_rules), key=_sort_key)
    for _, group in groupby(pairs, key=lambda pair: _sort_key(pair)[:3]):
        rules, names = zip(*group, strict=True)
        yield _rule(rules[0], names)


def _sort_key(pair: tuple[InhibitRule, str]) -> tuple[str, tuple[str, ...], tuple[str, ...], str]:
    rule, name = pair
    return rule.targets, rule.equal, tuple(rule.severities), name


def _rule(rule: InhibitRule, names: Sequence[str]) -> str:
    source = f'alertname="{names[0]}"' if len(names) == 1 else f'alertname=~"{"|".join(names)}"'
    targets = [f'alertname=~"{rule.targets}"']
    if len(rule.severities) < len(AlertSeverity):
        targets.append(f'severity=~"{"|".join(rule.severities)}"')
    listed = ", ".join(f"'{target}'" for target in targets)
    return f"  - source_matchers: ['{source}']\n    target_matchers: [{listed}]\n    equal: [{', '.join(rule.equal)}]\n"
