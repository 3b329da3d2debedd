"""The policy file: TOML to rules, and rules to TOML.

    shipped = true                     # the shipped rules follow these; a rule of the same name replaces one
    without = ["out-of-tree-module"]   # shipped rules that do not apply here

    [[rule]]
    name = "nvidia"
    action = "allow"                   # or deny, with severity; dry_run = true shows what it would find
    reason = "the graphics driver of the render hosts"
    [rule.match]
    module = ["nvidia", "nvidia_*"]
    signer = "Example Corp*"
    origin = ["dkms", "updates"]

Rules are tried in order, and the first that matches decides. All conditions of a rule must hold; a list holds when one
of its values does.
"""

from collections.abc import Mapping

from kmodmon.config.document import Section
from kmodmon.config.toml_document import parse_toml
from kmodmon.events.event import Severity
from kmodmon.policy.condition import CONDITIONS
from kmodmon.policy.shipped import RULES
from kmodmon.subjects.rules import Action, Check, Policy, Rule, RuleMatch

VERSION = 1
_MAX_RULES = 1000
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_LETTERS = r"[A-Za-z]{1,40}"
_LETTER_KEYS = ("taint", "without_taint")
_KEYS = ("name", "action", "check", "severity", "dry_run", "reason", "advice", "match")


def parse_policy(raw: bytes, file: str) -> Policy:
    """Give the policy of a file's bytes; `file` is its name in errors. Raises ConfigError."""
    document = parse_toml(raw, file)
    document.only(("version", "shipped", "without", "rule"))
    document.version(VERSION)
    own: dict[str, Rule] = {}
    for section in document.sections("rule"):
        rule = _rule(section)
        if rule.name in own:
            raise section.error("name", f'there are two rules "{rule.name}"', "each needs a name of its own")
        own[rule.name] = rule
    if len(own) > _MAX_RULES:
        raise document.error("rule", f"wants at most {_MAX_RULES} rules")
    without = document.texts("without", [rule.name for rule in RULES])
    shipped = RULES if document.flag("shipped", True) else ()
    rest = (rule for rule in shipped if rule.name not in own and rule.name not in without)
    return Policy(rules=(*own.values(), *rest), path=file, own=len(own))


def _rule(section: Section) -> Rule:
    section.only(_KEYS)
    action = section.word("action", Action)
    check = section.word("check", Check, Check.MODULE)
    if action is Action.ALLOW:
        for key in ("severity", "dry_run"):
            if key in section.values:
                raise section.error(key, "says nothing of a rule that allows", 'it belongs to action = "deny"')
    return Rule(
        name=section.text("name", pattern=_NAME, what="a name of letters, digits, and - _ ."),
        action=action,
        check=check,
        match=_match(section.section("match"), check),
        severity=section.word("severity", Severity, Severity.WARNING),
        dry_run=section.flag("dry_run", False),
        reason=section.text("reason", ""),
        advice=section.text("advice", ""),
        line=section.line(),
    )


def _match(section: Section, check: Check) -> RuleMatch:
    section.only((*(condition.key for condition in CONDITIONS), *_LETTER_KEYS))
    values: dict[str, tuple[str, ...]] = {}
    for condition in CONDITIONS:
        if condition.key in section.values and check not in condition.checks:
            kinds = ", ".join(kind for kind in Check if kind in condition.checks)
            raise section.error(condition.key, f'says nothing of check = "{check}"', f"it is for {kinds}")
        values[condition.key] = section.texts(condition.key, condition.words)
    for key in _LETTER_KEYS:
        if key in section.values:
            values[key] = tuple(section.text(key, pattern=_LETTERS, what="a text of taint letters"))
    return RuleMatch(**values)


def policy_toml(policy: Policy, head: str = "") -> str:
    """Give the rules as a file, from which `parse_policy` gives the same rules. `head`: a comment before them."""
    from kmodmon.config.toml_writer import comment, table  # reading needs no writer

    lines = [*comment(head), f"version = {VERSION}", "shipped = false", ""]
    for rule in policy.rules:
        lines += table("[[rule]]", _rule_values(rule))
        if rule.match != RuleMatch():
            lines += table("[rule.match]", _match_values(rule.match))
        lines.append("")
    return "\n".join(lines)


_EXAMPLE_HEAD = """The rules that kmodmon has in it, as a file. Nothing reads this one: it shows what the names of its
rules mean, and what can be written. To change something, write /etc/kmodmon/policy.toml with only rules of your
own, such as

    [[rule]]
    name = "nvidia"
    action = "allow"
    reason = "the graphics driver of the render hosts"
    [rule.match]
    module = ["nvidia", "nvidia_*"]

The shipped rules follow yours; one of yours with the name of a shipped one replaces it, `without = ["NAME"]` drops one,
and `shipped = false` drops all. Rules are tried in order, and the first that matches decides."""


def example_toml() -> str:
    """Give the shipped rules as an example file."""
    return policy_toml(Policy(rules=RULES), _EXAMPLE_HEAD)


def _rule_values(rule: Rule) -> Mapping[str, object]:
    """Give the keys of a rule, without those that have their default."""
    values = {
        "name": rule.name,
        "action": rule.action,
        "check": None if rule.check is Check.MODULE else rule.check,
        "severity": rule.severity if rule.action is Action.DENY else None,
        "dry_run": rule.dry_run,
        "reason": rule.reason,
        "advice": rule.advice,
    }
    return {key: value for key, value in values.items() if value}


def _match_values(match: RuleMatch) -> Mapping[str, object]:
    lists = {condition.key: condition.wanted(match) for condition in CONDITIONS}
    values = {key: values[0] if len(values) == 1 else values for key, values in lists.items()}
    values |= {"taint": "".join(match.taint), "without_taint": "".join(match.without_taint)}
    return {key: value for key, value in values.items() if value}
