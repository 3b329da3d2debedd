"""The baseline: read, written, one for a fleet; what differs, when it is told, and how it is signed off."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.cli.baseline import accept
from kmodmon.kernel.parameter import ParameterKind, ParameterValue
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.policy.baseline_document import (
    Accepted,
    BaselineDocument,
    BaselinePart,
    HostPart,
    baseline_toml,
    parse_baseline,
)
from kmodmon.policy.drift import differences_from, learn_baseline
from kmodmon.state.observation import Tick
from kmodmon.subjects.baseline import DriftKind, Meta, SignedModule
from kmodmon.subjects.module_file import TreeOrigin
from kmodmon.subjects.parameters import Parameter, ParametersRead, ParameterTable
from kmodmon.subjects.posture import Switches, SwitchesRead
from kmodmon.subjects.taint import TaintRead
from kmodmon.types.error import ConfigError
from tests.policy.scene import RELEASE, Host, file, fresh_run
from tests.states import field, types

FLEET = f"""
version = 1
[meta]
author = "alice"
date = "2026-11-23T12:00:00+00:00"
[kernel]
release = "{RELEASE}"
[modules]
ext4 = {{ origin = "kernel", signer = "Debian", srcversion = "ABC" }}
floppy = {{ optional = true }}
usb-storage = {{}}
[posture]
kptr_restrict = 1
[taint]
expected = "O"

[[host]]
match = "db-*"
[host.modules]
nvme = {{}}
usb-storage = {{ absent = true }}
[host.taint]
expected = ""
"""


def test_baseline_when_for_a_fleet_then_each_host_gets_its_parts() -> None:
    document = parse_baseline(FLEET.encode(), "b")
    web, database = document.for_host("web-1.example"), document.for_host("db-7.example")
    assert set(web.modules) == {"ext4", "floppy", "usb_storage"}
    assert set(database.modules) == {"ext4", "floppy", "nvme"}
    assert (web.taint, database.taint) == ("O", "")
    assert web.posture == {"kptr_restrict": "1"} and web.meta.author == "alice"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[modules]\next4 = 'x'\n", "b, line 2: modules.ext4: wants a table"),
        ("[modules]\next4 = { singer = 'x' }\n", "b, line 2: modules.ext4.singer: there is no such key; did you mean"),
        ("[[host]]\n[host.modules]\n", "b, line 1: host[0].match: is missing"),
        ("[taint]\nexpected = 3\n", "b, line 2: taint.expected: wants a text"),
        ("version = 9\n", "b, line 1: version: wants 1"),
        ("[posture]\nlockdown = true\n", "b, line 2: posture.lockdown: wants a text"),
    ],
)  # fmt: skip
def test_baseline_when_wrong_then_the_refusal_names_line_and_key(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_baseline(text.encode(), "b")
    assert str(caught.value).startswith(message)


_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).map(lambda text: text.replace("-", "_"))
_MAYBE = st.none() | _TEXTS
_MODULES = st.builds(
    SignedModule, srcversion=_MAYBE, build_id=_MAYBE, signer=_MAYBE, origin=_MAYBE, optional=st.booleans()
)
_PARTS = st.builds(
    BaselinePart,
    kernel=_MAYBE,
    modules=st.dictionaries(_NAMES, st.none() | _MODULES, max_size=3),
    parameters=st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    posture=st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    taint=st.none() | st.text("OEFP?", max_size=5),
)
_METAS = st.builds(Meta, reason=_TEXTS, author=_TEXTS, date=_TEXTS, host=_TEXTS, kmodmon=_TEXTS)


@given(_PARTS, st.lists(_PARTS, max_size=2), st.lists(_TEXTS, max_size=3), _METAS)
def test_baseline_when_written_and_read_then_is_the_same(
    base: BaselinePart, parts: list[BaselinePart], changes: list[str], meta: Meta
) -> None:
    document = BaselineDocument(
        meta=meta,
        base=base,
        hosts=tuple(HostPart(match=("a*", "b"), part=part) for part in parts),
        accepted=(Accepted(meta=meta, changes=tuple(changes)),),
    )
    assert parse_baseline(baseline_toml(document).encode(), "b") == document


def learned(host: Host) -> BaselineDocument:
    return BaselineDocument(base=learn_baseline(host.state))


def values(**numbers: int) -> Mapping[str, Parameter]:
    return {
        name: Parameter(value=ParameterValue(kind=ParameterKind.NUMBER, text=str(value), number=value), mode=0o644)
        for name, value in numbers.items()
    }


@pytest.fixture
def host() -> Host:
    host = Host()
    host.see("posture", SwitchesRead(switches=Switches(settings={"kptr_restrict": 1}, modules_disabled=False)))
    host.see("taint", TaintRead(value=1 << 12))
    table = {"kvm_intel": values(nested=0), "ext4": values(other=1)}
    host.see("parameters", ParametersRead(table=ParameterTable(parameters=table, read=True)))
    host.load("ext4", "xfs")
    host.examine({name: file(name) for name in host.loaded})
    return host


def test_baseline_when_learnt_then_the_host_is_as_in_it(host: Host) -> None:
    text = baseline_toml(learned(host))
    host.read_baseline(text)
    assert host.state.baseline.judged and host.state.baseline.drift == ()
    assert 'ext4 = { origin = "kernel", signer = "Debian", srcversion = "ABC" }' in text
    assert '"kvm_intel.nested" = "0"' in text and "ext4.other" not in text
    assert text == baseline_toml(learned(host))


def test_host_when_it_differs_in_everything_then_each_difference_is_one_of_its_kind(host: Host) -> None:
    host.read_baseline(baseline_toml(learned(host)))
    host.unload("xfs")
    host.load("evil", taint="OE")
    host.examine(
        {"ext4": file("ext4", signer="Somebody"), "evil": file("evil", SignatureStatus.UNSIGNED, TreeOrigin.OUTSIDE)}
    )
    host.see("posture", SwitchesRead(switches=Switches(settings={"kptr_restrict": 0}, modules_disabled=False)))
    host.see("taint", TaintRead(value=1 << 12 | 1 << 13))
    table = {"kvm_intel": values(nested=1)}
    host.see("parameters", ParametersRead(table=ParameterTable(parameters=table, read=True)))
    host.see("clock", Tick(), after=15)
    drifts = {drift.id: drift for drift in host.state.baseline.drift}
    assert set(drifts) == {
        "unexpected_module/evil", "missing_module/xfs", "changed_module/ext4", "posture/kptr_restrict",
        "parameter/kvm_intel.nested", "taint/unsigned_module",
    }  # fmt: skip
    assert drifts["changed_module/ext4"].sentence == "module ext4 is another one: signer Debian became signer Somebody"
    drifted = [event for event in host.events if event.type == "BaselineDrifted"]
    assert len(drifted) == 6 and {field(event, "kind") for event in drifted} == {
        drift.kind.value for drift in drifts.values()
    }
    assert sum(finding.startswith("baseline-drift/") for finding in host.found) == 6


def test_module_when_it_is_loaded_anew_then_it_is_not_missing(host: Host) -> None:
    host.read_baseline(baseline_toml(learned(host)))
    host.unload("xfs")
    host.load("xfs", after=3)
    host.examine({name: file(name) for name in host.loaded})
    host.see("clock", Tick(), after=15)
    assert host.state.baseline.drift == ()


def test_kernel_when_updated_then_it_is_one_difference_and_not_one_a_module(host: Host) -> None:
    text = baseline_toml(learned(host)).replace(RELEASE, "6.1.0-17-amd64").replace('"ABC"', '"OLD"')
    host.read_baseline(text)
    assert [drift.kind for drift in host.state.baseline.drift] == [DriftKind.KERNEL]
    host.read_baseline(text.replace("6.1.0-17-amd64", "6.1.*"))
    assert host.state.baseline.drift == ()


def test_baseline_when_edited_badly_then_the_old_one_stays_and_it_is_said(host: Host) -> None:
    host.read_baseline(baseline_toml(learned(host)))
    assert types(host.read_baseline("modules = 3")) == ["ConfigRefused"]
    refused = host.state.baseline
    assert refused.baseline is not None and refused.refusal is not None
    assert "refused-file/refused-file/baseline" in host.found
    host.read_baseline(None)
    assert host.state.baseline.baseline is None and host.found == set()


def test_drift_when_told_before_a_restart_then_is_not_told_again(host: Host) -> None:
    host.read_baseline(baseline_toml(learned(host)))
    host.load("evil")
    again = Host(state=fresh_run(host))
    again.loaded = dict(host.loaded)
    again.load()
    again.read_baseline(baseline_toml(learned(host)).replace("evil =", "good ="))
    assert "unexpected_module/evil" in {drift.id for drift in again.state.baseline.drift}
    names = [field(event, "name") for event in again.events if event.type == "BaselineDrifted"]
    assert "evil" not in names


def test_accept_when_alone_then_the_whole_and_optional_modules_stay_optional(host: Host) -> None:
    before = parse_baseline(FLEET.partition("[[host]]")[0].encode(), "b")
    after = accept(before, learn_baseline(host.state), "web-1")
    assert after.base.modules["floppy"] == SignedModule(optional=True)
    assert differences_from(after.for_host("web-1"), host.state, frozenset()) == ()


def test_accept_when_for_a_fleet_then_only_this_hosts_part_changes(host: Host) -> None:
    before = parse_baseline(FLEET.encode(), "b")
    after = accept(before, learn_baseline(host.state), "web-1")
    assert after.base == before.base and after.hosts[0] == before.hosts[0]
    assert after.hosts[1].match == ("web-1",)
    own = after.for_host("web-1")
    assert "usb_storage" not in own.modules and "xfs" in own.modules
    assert "ext4" not in after.hosts[1].part.modules  # it is as in the common part
    assert differences_from(own, host.state, frozenset()) == ()
    assert accept(after, learn_baseline(host.state), "web-1") == after
    again = parse_baseline(baseline_toml(after).encode(), "b")
    assert again.for_host("web-1").modules == MappingProxyType(dict(own.modules))
