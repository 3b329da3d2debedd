"""Every obstacle by itself and together, on hosts of every posture: errno, log line, order, and what cannot be told."""

import json
from dataclasses import replace
from types import MappingProxyType

import pytest

from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.modfile.loader_elf import NEWEST, LoaderRules
from kmodmon.preflight import LoadVerdict, ObstacleKind, preflight, render_verdict
from kmodmon.preflight.facts import (
    BuildChoices,
    Candidate,
    KnownSymbol,
    LoaderHost,
    LoaderPosture,
    LoadingFacts,
    ModprobeRule,
    Symbols,
    Undefined,
)
from kmodmon.preflight.symbols import given_to
from kmodmon.subjects.module_file import Keyring, ModuleFile, SignatureFacts, Stamp

MAGIC = "6.12.1 SMP preempt mod_unload modversions "
STAMP = Stamp(device=1, inode=1, size=1, mtime_nsec=0, ctime_nsec=0)
UNSIGNED = SignatureFacts(verdict=SignatureStatus.UNSIGNED, reason="no signature appended", errno="ENODATA")
VALID = SignatureFacts(verdict=SignatureStatus.VALID, reason="verified", keyring=Keyring.BUILTIN)
CRCS = MappingProxyType({"module_layout": 1, "printk": 2, "gpl_thing": 3, "spaced": 4, "theirs": 5})
FACTS = LoadingFacts(
    name="demo", loader_name="demo", vermagic=MAGIC, license="GPL", gpl_compatible=True, flags=frozenset({"intree"}),
    has_versions=True, versions=CRCS, undefined=(Undefined("printk", False),),
)  # fmt: skip
FILE = ModuleFile(name="demo", path="/tmp/demo.ko", stamp=STAMP, signature=VALID)
EXPORTED = MappingProxyType(
    {
        "module_layout": KnownSymbol(None, False, None, 1),
        "printk": KnownSymbol(None, False, None, 2),
        "gpl_thing": KnownSymbol(None, True, None, 3),
        "spaced": KnownSymbol(None, False, "NS", 4),
        "theirs": KnownSymbol("prop", False, None, 5),
    }
)
OPEN = LoaderPosture(capable=True, modules_disabled=False, sig_enforce=False, locked_down=False)
HOST = LoaderHost(
    release="6.12.1",
    rules=LoaderRules(probes=NEWEST),
    vermagic=MAGIC,
    build=BuildChoices(module_sig=True, force_load=True, allow_missing_namespaces=False, livepatch=True),
    posture=OPEN,
    loaded=MappingProxyType({"prop": "live", "busy": "coming"}),
    proprietary=frozenset({"prop"}),
    builtin=frozenset({"kernel_thing"}),
    symbols=Symbols(
        exported=EXPORTED, complete=True, elsewhere=MappingProxyType({"far": "faraway"}), tree_known=True, source="x"
    ),
)


def judge(
    facts: LoadingFacts = FACTS,
    host: LoaderHost = HOST,
    signature: SignatureFacts = VALID,
    *,
    sig_enforce: bool | None = None,
    locked_down: bool | None = None,
) -> LoadVerdict:
    """The verdict on one file; enforcement and lockdown as the host has them, or as given."""
    posture = host.posture
    if sig_enforce is not None:
        posture = replace(posture, sig_enforce=sig_enforce)
    if locked_down is not None:
        posture = replace(posture, locked_down=locked_down)
    host = replace(host, posture=posture)
    (verdict,) = preflight([Candidate(file=replace(FILE, signature=signature), facts=facts)], host)
    return verdict


def kinds(verdict: LoadVerdict) -> list[ObstacleKind]:
    return [one.kind for one in verdict.obstacles]


def wanting(*names: str) -> LoadingFacts:
    return replace(FACTS, undefined=tuple(Undefined(name, False) for name in names))


def test_preflight_when_nothing_stands_in_the_way_then_it_loads() -> None:
    verdict = judge()
    assert (verdict.loads, verdict.errno, verdict.log, verdict.effects.taints) == (True, None, (), "")


@pytest.mark.parametrize(
    ("errno", "what"),
    [
        ("ENODATA", "unsigned module"),
        ("ENOPKG", "module with unsupported crypto"),
        ("ENOKEY", "module with unavailable key"),
    ],
)
def test_preflight_when_not_verified_then_it_depends_on_enforcement(errno: str, what: str) -> None:
    signature = replace(UNSIGNED, errno=errno)
    free = judge(signature=signature)
    assert (free.loads, free.effects.taints) == (True, "E")
    enforced = judge(signature=signature, sig_enforce=True)
    assert (enforced.errno, enforced.log) == ("EKEYREJECTED", (f"Loading of {what} is rejected",))
    locked = judge(signature=signature, locked_down=True)
    assert locked.errno == "EPERM"
    assert locked.log == ("Lockdown: insmod: unsigned module loading is restricted; see man kernel_lockdown.7",)
    both = judge(signature=signature, locked_down=True, sig_enforce=True)
    assert both.errno == "EKEYREJECTED" and kinds(both) == [ObstacleKind.SIGNATURE, ObstacleKind.LOCKDOWN]
    unbuilt = replace(HOST, build=replace(HOST.build, module_sig=False))
    assert judge(host=unbuilt, signature=signature, sig_enforce=True).effects.taints == ""


def test_preflight_when_the_signature_is_bad_then_refused_even_where_nothing_is_enforced() -> None:
    bad = SignatureFacts(verdict=SignatureStatus.INVALID, reason="changed", errno="EKEYREJECTED")
    assert (judge(signature=bad).errno, judge(signature=bad).log) == ("EKEYREJECTED", ())
    odd = replace(bad, errno="EBADMSG", log="module: PKCS#7 signature info has unexpected non-zero params")
    assert (judge(signature=odd).errno, judge(signature=odd).log) == ("EBADMSG", (odd.log,))
    revoked = judge(signature=replace(bad, revoked=True))
    assert "revoked" in revoked.obstacles[0].remedy


def test_preflight_when_posture_or_key_is_not_known_then_it_cannot_be_told() -> None:
    blind = replace(HOST, posture=LoaderPosture())
    assert judge(host=blind, signature=UNSIGNED).loads is None
    assert judge(host=blind).loads is True
    doubtful = replace(VALID, errno="?", verdict=SignatureStatus.UNKNOWN)
    assert judge(signature=doubtful, sig_enforce=True).loads is None
    assert judge(signature=doubtful).loads is True
    foreign = replace(VALID, keyring=Keyring.MACHINE)
    assert judge(signature=foreign).loads is True
    assert judge(signature=foreign, sig_enforce=True).loads is None
    stale = replace(HOST, same_image=False)
    assert judge(host=stale, sig_enforce=True).loads is None
    assert judge(host=stale, signature=replace(UNSIGNED, errno="ENOKEY"), sig_enforce=True).loads is None


def test_preflight_when_nobody_may_load_then_eperm_without_a_line() -> None:
    for posture in (replace(OPEN, capable=False), replace(OPEN, modules_disabled=True)):
        verdict = judge(host=replace(HOST, posture=posture))
        assert (verdict.errno, verdict.log, verdict.message) == ("EPERM", (), "Operation not permitted")
    neither = replace(HOST, posture=replace(OPEN, capable=False, modules_disabled=True))
    assert kinds(judge(host=neither)) == [ObstacleKind.CAPABILITY, ObstacleKind.MODULES_DISABLED]


def test_preflight_when_the_elf_is_refused_then_nothing_after_it_is_judged() -> None:
    broken = LoadingFacts(elf_objection="Invalid ELF section header overflow")
    verdict = judge(broken, signature=UNSIGNED)
    assert (verdict.errno, verdict.log) == ("ENOEXEC", ("Invalid ELF section header overflow",))
    assert judge(LoadingFacts(elf_objection="")).log == ()
    assert judge(broken, signature=UNSIGNED, locked_down=True).errno == "EPERM"
    assert judge(LoadingFacts(unreadable="too large")).loads is None


def test_preflight_when_the_file_is_missing_then_that() -> None:
    missing = ModuleFile(name="demo", path="/tmp/none.ko", problem="/tmp/none.ko: No such file or directory")
    (verdict,) = preflight([Candidate(file=missing, facts=LoadingFacts())], HOST)
    assert (verdict.loads, kinds(verdict)) == (False, [ObstacleKind.FILE])


def test_preflight_when_blacklisted_then_eperm_by_the_exact_name() -> None:
    host = replace(HOST, posture=replace(OPEN, blacklist=("demo", "other-name")))
    assert (judge(host=host).errno, judge(host=host).log) == ("EPERM", ("Module demo is blacklisted",))
    assert judge(replace(FACTS, name="other_name", loader_name="other_name"), host).loads is True
    silent = replace(host, rules=LoaderRules(probes=frozenset()))
    assert judge(host=silent).log == ()


def test_preflight_when_vermagic_differs_then_the_exact_line() -> None:
    flags = MAGIC.replace("mod_unload", "mod_unl0ad")
    verdict = judge(replace(FACTS, vermagic=flags))
    assert verdict.errno == "ENOEXEC"
    assert verdict.log == (f"demo: version magic '{flags}' should be '{MAGIC}'",)
    assert "mod_unl0ad" in verdict.obstacles[0].why
    release = MAGIC.replace("6.12.1", "6.12.2")
    assert judge(replace(FACTS, vermagic=release)).loads is True  # checksums: the release does not count
    plain = replace(HOST, symbols=Symbols(exported=MappingProxyType(
        {name: known._replace(crc=None) for name, known in EXPORTED.items()}), complete=True))  # fmt: skip
    without = replace(FACTS, vermagic=release, has_versions=False, versions=MappingProxyType({}))
    assert judge(without, plain).errno == "ENOEXEC"
    assert judge(FACTS, replace(HOST, vermagic=None)).loads is None


def test_preflight_when_it_has_no_version_information_then_forced_or_refused() -> None:
    bare = replace(FACTS, vermagic=None, has_versions=False, versions=MappingProxyType({}))
    forced = judge(bare)
    assert (forced.loads, forced.effects.taints) == (True, "F")
    assert "module_layout: kernel tainted." in forced.effects.notes[0]
    strict = replace(HOST, build=replace(HOST.build, force_load=False))
    assert kinds(judge(bare, strict)) == [ObstacleKind.MODVERSIONS, ObstacleKind.VERMAGIC, ObstacleKind.MODVERSIONS]
    assert (judge(bare, strict).errno, judge(bare, strict).log) == ("ENOEXEC", ())


def test_preflight_when_checksums_differ_then_where_decides_the_errno() -> None:
    layout = judge(replace(FACTS, versions=MappingProxyType({**CRCS, "module_layout": 9})))
    assert layout.errno == "ENOEXEC"
    assert layout.log == ("demo: disagrees about version of symbol module_layout",)
    missing = judge(replace(FACTS, versions=MappingProxyType({"printk": 2})))
    assert missing.log == ("demo: no symbol version for module_layout",)
    symbol = judge(replace(FACTS, versions=MappingProxyType({**CRCS, "printk": 9})))
    assert symbol.errno == "EINVAL"
    assert symbol.log == (
        "demo: disagrees about version of symbol printk",
        "demo: Unknown symbol printk (err -22)",
    )
    extended = replace(FACTS, extended_versions=True, versions=MappingProxyType({"module_layout": 1}))
    assert judge(extended).loads is True  # what the extended table does not name is not compared


def test_preflight_when_a_symbol_is_unknown_then_enoent_and_who_has_it() -> None:
    verdict = judge(wanting("printk", "nowhere", "far"))
    assert verdict.errno == "ENOENT"
    assert verdict.log == ("demo: Unknown symbol nowhere (err -2)", "demo: Unknown symbol far (err -2)")
    assert "exported by faraway, which is not loaded" in verdict.obstacles[0].why
    assert "modprobe faraway" in verdict.obstacles[0].remedy
    assert judge(replace(FACTS, undefined=(Undefined("nowhere", True),))).loads is True
    assert judge(wanting("_GLOBAL_OFFSET_TABLE_")).loads is True
    partly = replace(HOST, symbols=replace(HOST.symbols, complete=False))
    assert judge(wanting("nowhere"), partly).loads is None
    assert judge(wanting("far"), partly).loads is False


def test_preflight_when_symbols_fail_in_several_ways_then_the_last_ones_errno() -> None:
    both = judge(wanting("nowhere", "spaced"))
    assert both.errno == "EINVAL" and kinds(both) == [ObstacleKind.SYMBOL, ObstacleKind.NAMESPACE]
    assert both.log == (
        "demo: Unknown symbol nowhere (err -2)",
        "demo: module uses symbol (spaced) from namespace NS, but does not import it.",
        "demo: Unknown symbol spaced (err -22)",
    )
    assert judge(wanting("spaced", "nowhere")).errno == "ENOENT"


def test_preflight_when_a_namespace_is_not_imported_then_einval_unless_allowed() -> None:
    assert judge(replace(wanting("spaced"), import_ns=("NS",))).loads is True
    lax = replace(HOST, build=replace(HOST.build, allow_missing_namespaces=True))
    assert judge(wanting("spaced"), lax).loads is True
    unknown = replace(HOST, build=replace(HOST.build, allow_missing_namespaces=None))
    assert judge(wanting("spaced"), unknown).loads is None
    assert judge(replace(FACTS, import_ns=("module:demo",))).errno == "EPERM"


@pytest.mark.parametrize(
    ("namespace", "module", "given"),
    [
        ("module:kvm,kvm-amd,kvm-intel", "kvm_intel", True),
        ("module:kvm", "kvm_intel", False),
        ("module:kvm*", "kvm_intel", True),
        ("NS", "NS", False),
        ("module:", "x", False),
    ],
)
def test_given_to_when_a_module_namespace_then_by_name_or_glob(namespace: str, module: str, *, given: bool) -> None:
    assert given_to(namespace, module) is given


PROPRIETARY = replace(FACTS, license="Proprietary", gpl_compatible=False)


def test_preflight_when_proprietary_then_gpl_only_symbols_do_not_exist_for_it() -> None:
    verdict = judge(replace(PROPRIETARY, undefined=wanting("printk", "gpl_thing").undefined))
    assert (verdict.errno, kinds(verdict)) == ("ENOENT", [ObstacleKind.GPL_ONLY])
    assert verdict.log == ("demo: Unknown symbol gpl_thing (err -2)",)
    fine = judge(PROPRIETARY)
    assert (fine.loads, fine.effects.taints) == (True, "P")
    assert judge(replace(FACTS, name="lve")).effects.taints == "P"
    weak = replace(PROPRIETARY, undefined=(Undefined("gpl_thing", True),))
    assert judge(weak).loads is True


def test_preflight_when_it_uses_a_proprietary_module_then_the_order_of_symbols_decides() -> None:
    inherits = judge(wanting("theirs"))
    assert (inherits.loads, inherits.effects.taints) == (True, "P")
    after = judge(wanting("theirs", "gpl_thing"))
    assert after.log == ("demo: Unknown symbol gpl_thing (err -2)",)
    before = judge(wanting("gpl_thing", "theirs"))
    assert before.log == (
        "demo: module using GPL-only symbols uses symbols theirs from proprietary module prop.",
        "demo: Unknown symbol theirs (err -2)",
    )


def test_preflight_when_a_module_of_its_name_is_there_then_eexist_or_in_doubt() -> None:
    there = judge(replace(FACTS, name="prop"))
    assert (there.errno, there.log, there.message) == ("EEXIST", (), "File exists")
    assert judge(replace(FACTS, name="busy")).loads is None
    built_in = judge(replace(FACTS, name="kernel_thing"))
    assert (built_in.errno, built_in.log) == ("EINVAL", ("kernel_thing: module is already loaded",))


def test_preflight_when_other_things_are_wrong_then_their_lines() -> None:
    exports = MappingProxyType({"printk": KnownSymbol(None, False, None, None)})
    double = judge(replace(FACTS, exports=exports))
    assert double.errno == "ENOEXEC"
    assert double.log == ("demo: exports duplicate symbol printk (owned by kernel)",)
    wx = judge(replace(FACTS, write_exec=(7, ".text.rw")))
    assert wx.log == ("demo: section .text.rw (index 7) has invalid WRITE|EXEC flags",)
    patch = replace(FACTS, flags=frozenset({"intree", "livepatch"}))
    assert judge(patch).effects.taints == "K"
    refused = judge(patch, replace(HOST, build=replace(HOST.build, livepatch=False)))
    assert refused.log == ("demo: module is marked as livepatch module, but livepatch support is disabled",)
    common = judge(replace(FACTS, common_symbols=True))
    assert (common.errno, common.log) == ("ENOEXEC", ("demo: please compile with -fno-common",))


def test_preflight_when_everything_is_wrong_then_all_of_it_in_the_kernels_order() -> None:
    wrong = replace(
        wanting("nowhere"), name="prop", vermagic="1.0 x ", versions=MappingProxyType({}), write_exec=(1, "x"),
        flags=frozenset({"livepatch"}),
    )  # fmt: skip
    posture = replace(OPEN, blacklist=("demo",), modules_disabled=True)
    host = replace(HOST, build=replace(HOST.build, livepatch=False), posture=posture)
    verdict = judge(wrong, host, UNSIGNED, sig_enforce=True, locked_down=True)
    assert kinds(verdict) == [
        ObstacleKind.MODULES_DISABLED,
        ObstacleKind.SIGNATURE,
        ObstacleKind.LOCKDOWN,
        ObstacleKind.BLACKLIST,
        ObstacleKind.MODVERSIONS,
        ObstacleKind.VERMAGIC,
        ObstacleKind.LIVEPATCH,
        ObstacleKind.WRITE_EXEC,
        ObstacleKind.ALREADY_LOADED,
        ObstacleKind.SYMBOL,
    ]
    assert verdict.errno == "EPERM"


def test_preflight_when_files_depend_on_each_other_then_in_their_order() -> None:
    exports = MappingProxyType({"fresh": KnownSymbol(None, False, None, None)})
    first = Candidate(file=FILE, facts=replace(PROPRIETARY, name="first", exports=exports))
    second = Candidate(file=FILE, facts=replace(wanting("fresh"), name="second"))
    assert [one.loads for one in preflight([first, second], HOST)] == [True, True]
    assert preflight([first, second], HOST)[1].effects.taints == "P"
    assert [one.loads for one in preflight([second, first], HOST)] == [False, True]
    assert preflight([first, first], HOST)[1].errno == "EEXIST"


def test_preflight_when_modprobe_d_speaks_of_it_then_a_note_and_no_obstacle() -> None:
    rules = (
        ModprobeRule(source="/etc/modprobe.d/x.conf:1", kind="blacklist", name="demo"),
        ModprobeRule(source="/etc/modprobe.d/x.conf:2", kind="install", name="demo", rest="/bin/false", refuses=True),
        ModprobeRule(source="/etc/modprobe.d/x.conf:3", kind="blacklist", name="other"),
    )
    verdict = judge(host=replace(HOST, posture=replace(OPEN, modprobe=rules)))
    assert verdict.loads is True
    assert [note.partition(" ")[0][-1] for note in verdict.effects.notes] == ["1", "2"]


def test_preflight_when_little_is_known_then_it_says_so() -> None:
    blind = LoaderHost(release="6.12.1", posture=OPEN)
    verdict = judge(host=blind)
    assert verdict.loads is None
    assert kinds(verdict) == [ObstacleKind.VERMAGIC, ObstacleKind.SYMBOL]
    assert any("could not be read" in note for note in verdict.effects.notes)


def test_taints_when_out_of_tree_and_more_then_all_letters() -> None:
    facts = replace(FACTS, flags=frozenset({"staging", "livepatch", "test"}))
    assert judge(facts, signature=UNSIGNED).effects.taints == "COEKN"


def test_render_when_refused_then_errno_lines_and_remedy_for_people() -> None:
    text = render_verdict(judge(signature=UNSIGNED, sig_enforce=True))
    assert text.splitlines()[0] == (
        "/tmp/demo.ko: would not load on 6.12.1: EKEYREJECTED (Key was rejected by service)"
    )
    assert "kernel log: Loading of unsigned module is rejected" in text
    assert "mokutil" in text
    assert render_verdict(judge()).startswith("/tmp/demo.ko: would load on 6.12.1")
    assert "cannot tell" in render_verdict(judge(host=LoaderHost(release="x")))


def test_to_json_when_written_then_stable_keys() -> None:
    document = json.loads(json.dumps(judge(signature=UNSIGNED, sig_enforce=True).to_json()))
    assert sorted(document) == [
        "errno", "loads", "log", "message", "name", "notes", "obstacles", "path", "release", "signature", "taints",
    ]  # fmt: skip
    assert document["loads"] is False
    assert sorted(document["obstacles"][0]) == ["certain", "errno", "kind", "log", "remedy", "why"]
