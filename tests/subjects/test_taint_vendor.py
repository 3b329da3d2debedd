"""Taint flags that a distribution adds, from /proc/version to metric, event, view and policy."""

import json
from pathlib import Path

from grafana.src.alerts.taint import flags
from kmodmon.kernel.taint import FLAGS, Tier
from kmodmon.kernel.taint_vendor import EL8, SUSE, every_flag
from kmodmon.metrics.taint import METRICS
from kmodmon.policy.subject import tier_of
from kmodmon.sources.kernel import read_kernel
from kmodmon.state.observation import Tick
from kmodmon.state.state import State
from kmodmon.subjects.kernel import Kernel, KernelRead
from kmodmon.system.root import Root
from kmodmon.types.outcome import Read
from kmodmon.view.taint import taint_view
from kmodmon.web.page.page_data import PageData
from tests.states import Story, module, types

BANNER = (
    b"Linux version 4.18.0-553.el8_10.x86_64 (mockbuild@x86-vm-07.build.eng.bos.redhat.com) "
    b"(gcc version 8.5.0 20210514 (Red Hat 8.5.0-22) (GCC)) #1 SMP Mon May 13 12:00:00 EDT 2024\n"
)


def kernel_of(banner: bytes, tmp_path: Path) -> Kernel:
    (tmp_path / "version").write_bytes(banner)
    host = str(tmp_path).encode()
    outcome = read_kernel(Root(procfs=host, rootfs=host, modules=host)).outcome
    assert isinstance(outcome, Read) and isinstance(outcome.value, KernelRead)
    return outcome.value.kernel


def series_of(state: State) -> dict[tuple[str, ...], float]:
    (metric,) = [one for one in METRICS if one.name == "kmodmon_kernel_taint"]
    return dict(metric.read(state))


def test_taint_when_the_kernel_is_a_vendors_then_its_bits_are_told_by_their_names(tmp_path: Path) -> None:
    story = Story()
    story.see("kernel", KernelRead(kernel=kernel_of(BANNER, tmp_path)))
    story.taint(0)
    story.taint(1 << 30, after=1)
    (event,) = story.see("clock", Tick(), after=30)
    assert event.type == "TaintAdded"
    assert (event.fields["flag"], event.fields["letter"], event.fields["tier"]) == ("unprivileged_bpf", "u", "security")
    series = series_of(story.state)
    assert series[("unprivileged_bpf", "u")] == 1 and series[("tech_preview", "t")] == 0
    assert not any(flag.startswith("bit_") for flag, _ in series)
    assert '"flag": "unprivileged_bpf"' in json.dumps(taint_view(story.state))
    assert [flag.label for flag in PageData(state=story.state).flags] == ["unprivileged_bpf"]


def test_taint_when_a_module_carries_a_vendors_letter_then_it_explains_the_bit() -> None:
    story = Story()
    story.see("kernel", KernelRead(kernel=Kernel(release="6.4", version="#1", machine="x86_64", taint_flags=SUSE)))
    story.modules()
    story.taint(0)
    story.modules(module("external", taint="n"))
    story.taint(1 << 31)
    story.see("clock", Tick(), after=5)
    assert "TaintAdded" in types(story.events)
    assert str(story.state.taint.ledger[31].cause) == "module:external"


def test_taint_when_the_kernel_is_anybody_elses_then_the_bits_stay_numbers(tmp_path: Path) -> None:
    assert kernel_of(BANNER.replace(b"Red Hat", b"Debian"), tmp_path).taint_flags is FLAGS
    assert kernel_of(BANNER, tmp_path).taint_flags is EL8


def test_flags_when_of_vendors_then_alerts_and_policy_know_their_tier() -> None:
    alerted = {label for tier in Tier for label in flags(tier)}
    assert {flag.label for flag in every_flag()} == alerted - {"bit_.+"}
    assert (tier_of("u"), tier_of("u", EL8)) == ("degraded", "security")
