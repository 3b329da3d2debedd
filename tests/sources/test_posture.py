"""The switches of trust on trees of files; contents as kernels print them."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kmodmon.kernel.efivar import SecureBoot
from kmodmon.sources.posture import read_counters, read_livepatches, read_lockdown, read_secure_boot, read_switches
from kmodmon.sources.source import Reading
from kmodmon.subjects.posture import CountersRead, LivepatchesRead, LockdownRead, SecureBootRead, SwitchesRead
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Failed, Read
from tests.states import Story, types

SECURE = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
SETUP = "SetupMode-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def tree(tmp_path: Path, **files: str | bytes) -> Root:
    for name, content in files.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    base = str(tmp_path).encode()
    return Root(
        procfs=base + b"/proc", sysfs=base + b"/sys", securityfs=base + b"/sys/kernel/security", efivars=base + b"/efi"
    )


def value(look: Reading) -> object:
    assert isinstance(look.outcome, Read), look.outcome
    return look.outcome.value


def test_switches_when_read_then_numbers_and_words_come_out(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        proc__sys__kernel__kptr_restrict="1\n",
        proc__sys__kernel__modules_disabled="0\n",
        proc__sys__kernel__modprobe="/sbin/modprobe\n",
        sys__module__module__parameters__sig_enforce="N\n",
    )
    seen = value(read_switches(root))
    assert isinstance(seen, SwitchesRead)
    assert seen.switches.settings == {"kptr_restrict": 1}
    assert seen.switches.modules_disabled is False
    assert seen.switches.sig_enforce is False
    assert seen.switches.modprobe == "/sbin/modprobe"


def test_switches_when_one_is_garbage_then_it_is_counted_and_the_others_stay(tmp_path: Path) -> None:
    root = tree(tmp_path, proc__sys__kernel__kptr_restrict=b"\xff\x00", proc__sys__kernel__dmesg_restrict="1\n")
    look = read_switches(root)
    seen = value(look)
    assert isinstance(seen, SwitchesRead)
    assert seen.switches.settings == {"dmesg_restrict": 1}
    assert look.unreadable == 1


def test_sources_when_nothing_is_there_then_they_are_absent(tmp_path: Path) -> None:
    root = tree(tmp_path)
    for read in (read_switches, read_lockdown, read_counters, read_livepatches, read_secure_boot):
        assert isinstance(read(root).outcome, Absent), read


def test_lockdown_when_garbage_then_the_source_failed(tmp_path: Path) -> None:
    root = tree(tmp_path, sys__kernel__security__lockdown="[none] [integrity]\n")
    assert isinstance(read_lockdown(root).outcome, Failed)


def test_secure_boot_when_variables_say_so_then_it_is_enabled(tmp_path: Path) -> None:
    root = tree(tmp_path)
    (tmp_path / "efi").mkdir()
    (tmp_path / "efi" / SECURE).write_bytes(b"\x06\0\0\0\x01")
    (tmp_path / "efi" / SETUP).write_bytes(b"\x06\0\0\0\x00")
    seen = value(read_secure_boot(root))
    assert isinstance(seen, SecureBootRead)
    assert seen.state is SecureBoot.ENABLED


def test_counters_and_livepatches_when_there_then_they_are_read(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        sys__kernel__oops_count="2\n",
        sys__kernel__livepatch__fix__enabled="1\n",
        sys__kernel__livepatch__fix__transition="0\n",
    )
    counters, patches = value(read_counters(root)), value(read_livepatches(root))
    assert isinstance(counters, CountersRead) and counters.counters == {"oops_count": 2}
    assert isinstance(patches, LivepatchesRead) and patches.patches["fix"].state == "enabled"


def lockdown(root: Root) -> LockdownRead:
    seen = value(read_lockdown(root))
    assert isinstance(seen, LockdownRead)
    return seen


def test_transitions_when_lockdown_rises_then_enforcement_follows_and_both_are_events(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        proc__sys__kernel__modules_disabled="0\n",
        sys__module__module__parameters__sig_enforce="N\n",
        sys__kernel__security__lockdown="[none] integrity confidentiality\n",
        sys__kernel__security__lsm="lockdown,capability,yama\n",
    )
    story = Story()
    switches = value(read_switches(root))
    assert isinstance(switches, SwitchesRead)
    assert story.see("posture", switches) == ()
    assert story.see("lockdown", lockdown(root)) == ()
    assert story.state.posture.enforcement is not None and story.state.posture.enforcement.enforced is False
    tree(tmp_path, sys__kernel__security__lockdown="none [integrity] confidentiality\n")
    events = story.see("lockdown", lockdown(root))
    assert types(events) == ["LockdownChanged", "SignatureEnforcementChanged"]
    assert {event.fields["direction"] for event in events} == {"hardened"}
    assert events[1].fields["deciders"] == ("lockdown",) or events[1].fields["deciders"] == ["lockdown"]
    assert story.state.counts["kmodmon_posture_changes_total"] == {("lockdown",): 1, ("signature_enforced",): 1}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=64))
def test_sources_when_files_hold_garbage_then_there_is_an_outcome_and_no_crash(tmp_path: Path, raw: bytes) -> None:
    root = tree(
        tmp_path,
        proc__sys__kernel__kptr_restrict=raw,
        proc__sys__kernel__modules_disabled=raw,
        sys__kernel__security__lockdown=raw,
        sys__kernel__security__lsm=raw,
        sys__kernel__oops_count=raw,
        sys__kernel__livepatch__x__enabled=raw,
        sys__kernel__livepatch__x__transition=raw,
        efi__x=raw,
    )
    (tmp_path / "efi" / SECURE).write_bytes(raw)
    for read in (read_switches, read_lockdown, read_counters, read_livepatches, read_secure_boot):
        assert isinstance(read(root).outcome, Read | Failed | Absent)
