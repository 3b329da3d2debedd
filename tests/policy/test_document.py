"""The policy file: what is read, what is refused with file, line, key and hint, and that writing gives it back."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.event import Severity
from kmodmon.policy.condition import CONDITIONS
from kmodmon.policy.document import parse_policy, policy_toml
from kmodmon.policy.shipped import POLICY, RULES
from kmodmon.policy.subject import Subject
from kmodmon.subjects.rules import Action, Check, Policy, Rule, RuleMatch
from kmodmon.types.error import ConfigError

FILE = "/etc/kmodmon/policy.toml"
FULL = b"""
version = 1
shipped = true
without = ["out-of-tree-module"]

[[rule]]
name = "render-farm"
action = "allow"
reason = "the driver of the render hosts"
[rule.match]
module = ["nvidia", "nvidia_*"]
signer = "Example*"
origin = ["dkms", "updates"]
taint = "PO"
without_taint = "F"

[[rule]]
name = "unsigned-module"
action = "deny"
severity = "critical"
dry_run = true
advice = "sign it"
match = { signature = ["unsigned", "invalid"] }

[[rule]]
name = "lockdown"
action = "deny"
check = "posture"
[rule.match]
setting = "lockdown"
value = "none"
"""


def test_policy_when_read_then_rules_come_in_order_and_the_shipped_ones_after_them() -> None:
    policy = parse_policy(FULL, FILE)
    assert policy.own == 3 and policy.path == FILE
    first, second, third = policy.rules[:3]
    assert first.match == RuleMatch(
        module=("nvidia", "nvidia_*"), signer=("Example*",), origin=("dkms", "updates"), taint=("P", "O"),
        without_taint=("F",),
    )  # fmt: skip
    assert (second.severity, second.dry_run, second.line) == (Severity.CRITICAL, True, 17)
    assert third.check is Check.POSTURE
    rest = [rule.name for rule in policy.rules[3:]]
    assert rest == [rule.name for rule in RULES if rule.name not in ("unsigned-module", "out-of-tree-module")]


def test_policy_when_the_shipped_rules_are_not_wanted_then_only_its_own() -> None:
    policy = parse_policy(b"shipped = false\n[[rule]]\nname='a'\naction='deny'\n", FILE)
    assert [rule.name for rule in policy.rules] == ["a"]
    assert parse_policy(b"", FILE).rules == RULES


@pytest.mark.parametrize(
    ("text", "line", "key", "why", "hint"),
    [
        ("rulez = 1", 1, "rulez", "there is no such key", "did you mean rule?"),
        ("version = 2", 1, "version", "wants 1", "a newer kmodmon may know it"),
        ("\n[[rule]]\nname='a'\naction='permit'", 4, "rule[0].action", '"permit" is not known here', "write one of"),
        ("[[rule]]\naction='deny'", 1, "rule[0].name", "is missing", "write name"),
        ("[[rule]]\nname='a b'\naction='deny'", 2, "rule[0].name", '"a b" is not a name', ""),
        ("[[rule]]\nname='a'\naction='deny'\n\n[[rule]]\nname='a'\naction='deny'", 6, "rule[1].name", "two rules", ""),
        ("[[rule]]\nname='a'\naction='allow'\nseverity='error'", 4, "rule[0].severity", "says nothing", ""),
        ("[[rule]]\nname='a'\naction='deny'\n[rule.match]\norigin=['kernel','hell']", 5, "rule[0].match.origin[1]",
         '"hell" is not known', "write one of kernel"),
        ("[[rule]]\nname='a'\naction='deny'\n[rule.match]\nsignre='x'", 5, "rule[0].match.signre", "no such key",
         "did you mean signer?"),
        ("[[rule]]\nname='a'\naction='deny'\n[rule.match]\nparameter='x'", 5, "rule[0].match.parameter",
         "says nothing of check", "it is for writable-parameter"),
        ("[[rule]]\nname='a'\naction='deny'\n[rule.match]\nsigner=3", 5, "rule[0].match.signer", "wants a text", ""),
        ("[[rule]]\nname='a'\naction='deny'\n[rule.match]\ntaint='1'", 5, "rule[0].match.taint", "not a text of", ""),
        ("[[rule]]\nname='a'\naction='deny'\ndry_run='yes'", 4, "rule[0].dry_run", "wants true or false", ""),
        ("rule = 3", 1, "rule", "wants an array of tables", "write [[rule]]"),
        ("without = ['nothing']", 1, "without[0]", '"nothing" is not known here', "hidden-module"),
        ("a =", 1, "", "is not TOML", ""),
        ("x = 1\ny = [\n", 2, "", "is not TOML", ""),
    ],
)  # fmt: skip
def test_policy_when_wrong_then_the_refusal_names_file_line_key_and_a_hint(
    text: str, line: int | None, key: str, why: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_policy(text.encode(), FILE)
    error = caught.value
    assert (error.file, error.key) == (FILE, key)
    assert error.line == line
    assert why in error.why and hint in error.hint


def test_policy_when_it_is_no_text_then_the_line_of_the_first_bad_byte() -> None:
    with pytest.raises(ConfigError, match="line 2: is not UTF-8 text"):
        parse_policy(b"a = 1\nb = '\xff'", FILE)


def test_shipped_policy_when_written_and_read_then_is_the_same() -> None:
    policy = parse_policy(policy_toml(POLICY, "two\nlines").encode(), FILE)
    assert tuple(replace(rule, line=None) for rule in policy.rules) == RULES


def test_conditions_when_listed_then_their_keys_are_fields_of_rules_and_of_subjects() -> None:
    keys = {condition.key for condition in CONDITIONS}
    assert keys <= {field.name for field in fields(Subject)}
    assert keys | {"taint", "without_taint"} == {field.name for field in fields(RuleMatch)}


_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_GLOBS = [condition.key for condition in CONDITIONS if condition.words is None and Check.MODULE in condition.checks]


@given(
    st.lists(st.builds(lambda key, values: (key, values), st.sampled_from(_GLOBS), st.lists(_TEXTS, max_size=3))),
    _TEXTS,
)
def test_rules_when_of_any_text_then_written_and_read_are_the_same(
    conditions: list[tuple[str, list[str]]], reason: str
) -> None:
    match = RuleMatch(**{key: tuple(values) for key, values in conditions})
    rule = Rule(name="any", action=Action.DENY, match=match, reason=reason)
    policy = parse_policy(policy_toml(Policy(rules=(rule,))).encode(), FILE)
    assert replace(policy.rules[0], line=None) == rule


@given(st.binary(max_size=200))
def test_policy_when_of_any_bytes_then_a_policy_or_a_config_error(raw: bytes) -> None:
    try:
        assert parse_policy(raw, FILE).rules
    except ConfigError as error:
        assert error.file == FILE and str(error)
