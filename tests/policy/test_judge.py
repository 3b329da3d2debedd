"""What is found, when, and how often it is told."""

import pytest

from kmodmon.events.event import Actor, Process, Severity
from kmodmon.events.kinds.policy import PolicyViolated
from kmodmon.kernel.modprobe_d import parse_modprobe_file
from kmodmon.kernel.parameter import ParameterKind, ParameterValue
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.lifecycle.signals import TraceEntry, TraceKind, TraceRead
from kmodmon.policy.shipped import RULES
from kmodmon.state.observation import Tick
from kmodmon.state.trust import provenance_of, trust
from kmodmon.subjects.modprobe import ModprobeRead, PlacedDirective, modprobe_config
from kmodmon.subjects.module_file import OnDisk, TreeOrigin
from kmodmon.subjects.parameters import Parameter, ParametersRead, ParameterTable
from kmodmon.subjects.posture import Switches, SwitchesRead
from kmodmon.subjects.taint import TaintRead
from kmodmon.types.units import Usec
from tests.policy.scene import NOT_SIGNING, Host, file, fresh_run, missing_file, violated
from tests.states import types

ALLOW_NVIDIA = """
[[rule]]
name = "nvidia"
action = "allow"
[rule.match]
signer = "Example*"
origin = "dkms"
"""


def test_clean_host_when_judged_then_nothing_is_found() -> None:
    host = Host()
    host.load("ext4", "libata")
    host.load("rtl8192e", taint="C")
    host.examine({name: file(name) for name in host.loaded})
    host.see("taint", TaintRead(value=1 << 10))
    assert host.found == set()
    assert host.state.findings.judged and violated(host.events) == []


@pytest.mark.parametrize(
    ("taint", "verdict", "origin", "expected"),
    [
        ("OE", SignatureStatus.UNSIGNED, TreeOrigin.UPDATES, "unsigned-module"),
        ("FOE", SignatureStatus.UNSIGNED, TreeOrigin.EXTRA, "forced-module"),
        ("OE", SignatureStatus.INVALID, TreeOrigin.UPDATES, "invalid-signature"),
        ("O", SignatureStatus.VALID, TreeOrigin.DKMS, "out-of-tree-module"),
        ("O", SignatureStatus.VALID, TreeOrigin.OUTSIDE, "module-from-elsewhere"),
        ("P", SignatureStatus.VALID, TreeOrigin.UPDATES, "proprietary-module"),
        ("", SignatureStatus.INVALID, TreeOrigin.KERNEL, "file-tampered"),
    ],
)
def test_bad_module_when_examined_then_exactly_one_finding_by_the_gravest_rule(
    taint: str, verdict: SignatureStatus, origin: TreeOrigin, expected: str
) -> None:
    host = Host()
    host.load("bad", taint=taint)
    host.examine({"bad": file("bad", verdict, origin)})
    assert host.found == {f"{expected}/bad"}
    assert violated(host.events) == [f"{expected}/bad"]


def test_finding_when_file_facts_are_to_come_then_waits_for_them_and_may_never_come() -> None:
    host = Host(ALLOW_NVIDIA)
    host.load("nvidia", taint="OE")
    assert host.found == set() and host.state.findings.waits
    host.examine({"nvidia": file("nvidia", SignatureStatus.SIGNED, TreeOrigin.DKMS, signer="Example Corp")})
    assert host.found == set() and violated(host.events) == []


def test_finding_when_the_list_is_read_before_the_trace_then_waits_for_who_loaded_the_module() -> None:
    host = Host()
    host.see("trace", TraceRead(began=True))
    host.see("clock", Tick(), after=300)
    host.load("mine", taint="OE")
    assert "mine" in host.state.lifecycle.pending_loads and host.found == set() and host.state.findings.waits
    at = Usec(host.clock.monotonic_usec - 10_000)
    actor = Actor(process=Process(pid=7, comm="python3", cmdline=("python3", "load.py")))
    entry = TraceEntry(kind=TraceKind.LOAD, monotonic_usec=at, tid=7, module="mine", taint="OE", actor=actor)
    host.see("trace", TraceRead(entries=(entry,)))
    host.load(after=0.1)
    host.examine({"mine": missing_file("mine")})
    assert violated(host.events) == ["module-from-memory/mine"]


def test_finding_when_files_are_never_examined_then_comes_after_the_patience() -> None:
    host = Host()
    host.load("bad", taint="OE")
    host.see("clock", Tick(), after=20)
    assert host.found == set()
    host.see("clock", Tick(), after=20)
    assert host.found == {"unsigned-module/bad"}


def test_finding_when_there_are_no_module_files_then_comes_at_once() -> None:
    host = Host()
    host.files_absent()
    host.load("bad", taint="OE")
    assert host.found == {"unsigned-module/bad"}


def test_nothing_when_the_policy_was_not_looked_at_then_is_judged() -> None:
    host = Host.__mro__[1]()
    assert types(host.modules()) == [] and host.state.findings.judged is False


def test_module_when_gone_before_its_file_was_examined_then_is_judged_by_what_is_known() -> None:
    host = Host()
    host.load("flash", taint="OE")
    host.unload("flash")
    host.see("clock", Tick(), after=5)
    assert violated(host.events) == ["unsigned-module/flash"]
    assert host.found == set()


def test_module_when_judged_before_it_goes_then_is_told_once() -> None:
    host = Host()
    host.load("bad", taint="OE")
    host.examine({"bad": file("bad", SignatureStatus.UNSIGNED, TreeOrigin.UPDATES)})
    host.unload("bad")
    host.see("clock", Tick(), after=5)
    assert violated(host.events) == ["unsigned-module/bad"]
    assert host.found == set()


def test_allowed_module_when_it_comes_and_goes_unseen_then_nothing_is_told() -> None:
    host = Host('[[rule]]\nname="mine"\naction="allow"\n[rule.match]\nmodule="mine"\n')
    host.load("mine", taint="OE")
    host.unload("mine")
    host.see("clock", Tick(), after=5)
    assert violated(host.events) == []


def test_taint_when_what_caused_it_is_still_open_then_is_no_finding_yet() -> None:
    host = Host()
    host.see("taint", TaintRead(value=0))
    host.see("taint", TaintRead(value=1 << 9), after=1)
    assert host.found == set()
    host.see("clock", Tick(), after=5)
    assert host.found == {"kernel-degraded/taint/warning"}
    assert host.findings["kernel-degraded/taint/warning"].severity is Severity.WARNING


def test_taint_when_a_loaded_module_carries_it_then_it_is_the_modules() -> None:
    host = Host('[[rule]]\nname="mine"\naction="allow"\n[rule.match]\nmodule="mine"\n')
    host.see("taint", TaintRead(value=0))
    host.load("mine", taint="OE")
    host.see("taint", TaintRead(value=1 << 12 | 1 << 13), after=1)
    host.see("clock", Tick(), after=5)
    assert host.found == set()
    host.unload("mine")
    host.see("clock", Tick(), after=5)
    assert host.found == {"kernel-untrusted/taint/unsigned_module"}
    host.load("mine", taint="OE")
    assert host.found == {"kernel-untrusted/taint/unsigned_module"}
    host.unload("mine")
    host.see("clock", Tick(), after=5)
    assert violated(host.events) == ["kernel-untrusted/taint/unsigned_module"], "told once"


def test_taint_when_its_module_is_traced_and_not_listed_yet_then_it_waits_for_the_list() -> None:
    host = Host()
    host.see("trace", TraceRead(began=True))
    host.see("taint", TaintRead(value=0))
    at = host.clock.monotonic_usec
    entry = TraceEntry(kind=TraceKind.LOAD, monotonic_usec=Usec(at), tid=7, module="mine", taint="OE")
    host.see("taint", TaintRead(value=1 << 12 | 1 << 13), after=0.1)
    host.see("trace", TraceRead(entries=(entry,)))
    assert str(host.state.taint.ledger[13].cause) == "module:mine" and host.found == set()
    host.load("mine", taint="OE", after=0.2)
    host.see("clock", Tick(), after=5)
    host.examine({"mine": file("mine", SignatureStatus.UNSIGNED, TreeOrigin.UPDATES)})
    assert host.found == {"unsigned-module/mine"}
    assert violated(host.events) == ["unsigned-module/mine"]


def test_restart_when_findings_were_told_then_they_are_not_told_again() -> None:
    host = Host()
    host.load("bad", taint="OE")
    host.examine({"bad": file("bad", SignatureStatus.UNSIGNED, TreeOrigin.UPDATES)})
    since = host.findings["unsigned-module/bad"].since
    again = Host(state=fresh_run(host))
    again.loaded = dict(host.loaded)
    again.load()
    again.examine({"bad": file("bad", SignatureStatus.UNSIGNED, TreeOrigin.UPDATES)})
    assert again.found == {"unsigned-module/bad"} and violated(again.events) == []
    assert again.findings["unsigned-module/bad"].since == since
    again.load("worse", taint="OE")
    again.examine({name: file(name, SignatureStatus.UNSIGNED, TreeOrigin.UPDATES) for name in ("bad", "worse")})
    assert violated(again.events) == ["unsigned-module/worse"]


def test_dry_run_when_it_matches_then_is_shown_and_not_told() -> None:
    policy = '[[rule]]\nname="try"\naction="deny"\ndry_run=true\n[rule.match]\nmodule="ext*"\n'
    host = Host(policy)
    host.load("ext4")
    host.examine({"ext4": file("ext4")})
    assert host.found == {"try/ext4"} and host.findings["try/ext4"].dry_run
    assert violated(host.events) == []
    host.read_policy(policy.replace("dry_run=true", 'severity="error"'))
    assert violated(host.events) == ["try/ext4"]


def test_policy_when_edited_then_judges_at_once_and_a_broken_one_changes_nothing() -> None:
    host = Host('[[rule]]\nname="no-ext4"\naction="deny"\n[rule.match]\nmodule="ext4"\n')
    host.load("ext4", "xfs")
    host.examine({name: file(name) for name in host.loaded})
    assert host.found == {"no-ext4/ext4"}
    events = host.read_policy("[[rule]]\nname = 'x'\naction = 'permit'\n")
    assert types(events) == ["ConfigRefused"]
    assert events[0].fields["line"] == 3 and events[0].fields["key"] == "rule[0].action"
    assert host.found == {"no-ext4/ext4", "refused-file/refused-file/policy"}
    assert types(host.read_policy("[[rule]]\nname = 'x'\naction = 'permit'\n")) == []
    host.read_policy('[[rule]]\nname="no-xfs"\naction="deny"\n[rule.match]\nmodule="xfs"\n')
    assert host.found == {"no-xfs/xfs"}
    host.read_policy(None)
    assert host.found == set()


def test_blacklisted_module_when_loaded_then_the_line_is_named() -> None:
    host = Host()
    lines = parse_modprobe_file(b"# rare\nblacklist floppy\ninstall pcspkr /bin/true\ninstall ok /sbin/modprobe x\n")
    config = modprobe_config(PlacedDirective(path="/etc/modprobe.d/b.conf", directive=line) for line in lines)
    host.see("modprobe", ModprobeRead(config=config))
    host.load("floppy", "pcspkr", "ok")
    host.examine({name: file(name) for name in host.loaded})
    assert host.found == {f"blacklisted-module/blacklisted-module/{name}" for name in ("floppy", "pcspkr")}
    found = host.findings["blacklisted-module/blacklisted-module/floppy"]
    assert found.evidence == ("blacklist: /etc/modprobe.d/b.conf:2",)


def test_parameter_when_everybody_may_write_it_then_is_found() -> None:
    host = Host()
    value = ParameterValue(kind=ParameterKind.NUMBER, text="1", number=1)
    table = {"ext4": {"safe": Parameter(value=value, mode=0o644), "open": Parameter(value=value, mode=0o666)}}
    host.see("parameters", ParametersRead(table=ParameterTable(parameters=table, read=True)))
    assert host.found == {"writable-parameter/writable-parameter/ext4.open"}
    assert host.findings["writable-parameter/writable-parameter/ext4.open"].module == "ext4"


@pytest.mark.parametrize(
    ("path", "expected"), [("/sbin/modprobe", 0), ("/usr/sbin/modprobe", 0), ("", 0), ("/tmp/x", 1)]
)
def test_helper_when_it_is_not_modprobe_then_is_found(path: str, expected: int) -> None:
    host = Host()
    host.see("posture", SwitchesRead(switches=Switches(modprobe=path)))
    assert len(host.found) == expected


def test_expected_modules_when_they_stay_away_then_are_missing() -> None:
    host = Host(expected=("nf-conntrack", "ext4"))
    host.load("ext4")
    host.examine({"ext4": file("ext4")})
    assert dict(host.state.findings.expected) == {"nf_conntrack": False, "ext4": True}
    assert host.found == set()
    host.see("clock", Tick(), after=15)
    assert host.found == {"missing-module/missing-module/nf_conntrack"}
    host.load("nf_conntrack")
    assert host.found == set()


def test_expected_modules_when_the_system_boots_then_are_waited_for() -> None:
    host = Host(expected=("nf_conntrack",), boot_time=1_700_000_000 - 10)
    host.see("clock", Tick(), after=60)
    assert host.found == set()
    host.see("clock", Tick(), after=60)
    assert host.found == {"missing-module/missing-module/nf_conntrack"}


def test_kernel_without_signatures_when_its_own_modules_are_unsigned_then_is_silent() -> None:
    host = Host(config=NOT_SIGNING)
    host.load("ext4")
    assert trust(host.state, host.loaded["ext4"]) is SignatureStatus.UNKNOWN
    host.examine({"ext4": file("ext4", SignatureStatus.UNSIGNED)})
    assert trust(host.state, host.loaded["ext4"]) is SignatureStatus.UNSIGNED
    assert host.found == set()
    host.load("mine", taint="O")
    host.examine(
        {
            "ext4": file("ext4", SignatureStatus.UNSIGNED),
            "mine": file("mine", SignatureStatus.UNSIGNED, TreeOrigin.EXTRA),
        }
    )
    assert host.found == {"unsigned-module/mine"}


@pytest.mark.parametrize("letter", ["E", "O", "P"])
def test_kernel_without_signatures_when_a_module_in_its_own_tree_is_tainted_then_unsigned(letter: str) -> None:
    host = Host(config=NOT_SIGNING)
    host.load("ext4", taint=letter)
    host.examine({"ext4": file("ext4", SignatureStatus.UNSIGNED)})
    assert host.found == {"unsigned-module/ext4"}


def test_rule_when_it_names_letters_that_a_module_must_not_carry_then_one_of_them_is_enough() -> None:
    host = Host("[[rule]]\nname = 'no-drivers'\naction = 'deny'\nmatch = { module = 'drv*', without_taint = 'CX' }\n")
    host.load("drv_plain")
    host.load("drv_staging", taint="C")
    host.examine({name: file(name) for name in host.loaded})
    assert host.found == {"no-drivers/drv_plain"}


def test_file_when_replaced_after_the_load_then_found_and_the_loaded_ones_facts_stay() -> None:
    host = Host()
    host.load("ext4")
    host.examine({"ext4": file("ext4")})
    late = host.clock.now().realtime_usec * 1000 + 10**9
    events = host.examine({"ext4": file("ext4", SignatureStatus.UNSIGNED, srcversion="NEW", sha256="11", changed=late)})
    assert types(events) == ["FileChanged", "PolicyViolated"]
    assert host.found == {"differs-from-disk/ext4"}
    known = provenance_of(host.state, host.loaded["ext4"])
    assert (known.signer, known.on_disk, known.differs) == ("Debian", OnDisk.REPLACED, True)
    host.examine({"ext4": file("ext4")})
    assert host.found == set()


def test_file_when_deleted_after_the_load_then_found() -> None:
    host = Host()
    host.load("ext4")
    host.examine({"ext4": file("ext4")})
    host.examine({"ext4": missing_file("ext4")})
    assert host.found == {"module-file-deleted/ext4"}


def test_shipped_rules_when_named_then_each_name_is_unique_and_each_has_its_words() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.reason and (rule.advice or rule.action.value == "allow") for rule in RULES)


def test_events_when_a_finding_appears_then_it_says_what_and_why() -> None:
    host = Host()
    host.load("bad", taint="OE")
    (event,) = (
        event
        for event in host.examine({"bad": file("bad", SignatureStatus.UNSIGNED, TreeOrigin.UPDATES)})
        if event.type == PolicyViolated.kind.type
    )
    assert (event.module, event.severity, event.fields["rule"]) == ("bad", Severity.ERROR, "unsigned-module")
    assert event.evidence[0] == "/proc/modules: (OE)"
