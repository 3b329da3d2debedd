"""Preflight's facts gathered from files: a made-up host whose kernel image, tree and modules are all consistent."""

import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from kmodmon.examiner.loader_host import PreflightRequest, gather_preflight
from kmodmon.examiner.modprobe import modprobe_files, modprobe_rules
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.kernel.kconfig import Kconfig
from kmodmon.kernel.modules import ModuleState
from kmodmon.lifecycle.inventory import Inventory, Module
from kmodmon.preflight import LoadVerdict, preflight
from kmodmon.state.state import State
from kmodmon.subjects.kernel import Kernel
from kmodmon.subjects.posture import Posture, Switches
from kmodmon.system.root import Root
from tests.elf_maker import VERMAGIC, Ko, Part, Sym, make, other
from tests.examiner.test_certificates import KERNELS, RELEASE, kernel_elf
from tests.fake_clock import EPOCH
from tests.signing import Signer, make_signer

STOCK = other(Ko(name="stock", versions={"one": 0x11}, undefined=("one",)), ("name", "stock"))
CONFIG = Kconfig(
    values=MappingProxyType({"CONFIG_MODULE_SIG": "y", "CONFIG_MODVERSIONS": "y", "CONFIG_MODULE_FORCE_LOAD": "y"})
)


class Host:
    """A host in a directory; `verdict()` asks about one file on it."""

    def __init__(self, root: Path, signer: Signer) -> None:
        self.root = root
        self.signer = signer
        tree = root / f"lib/modules/{RELEASE}"
        for directory in (tree / "kernel", root / "boot", root / "proc/self", root / "sys/module/builtin_one",
                          root / "sys/kernel"):  # fmt: skip
            directory.mkdir(parents=True)
        (root / f"boot/vmlinuz-{RELEASE}").write_bytes(KERNELS["zstd"](kernel_elf((signer.der,))))
        (tree / "kernel/stock.ko").write_bytes(self.signed(in_tree(STOCK)))
        (tree / "kernel/other.ko").write_bytes(self.signed(exporting("other_symbol")))
        (tree / "modules.dep").write_text("kernel/stock.ko:\nkernel/other.ko:\n")
        (tree / "modules.symbols").write_text("alias symbol:other_symbol other\n")
        (root / "proc/self/status").write_text("Name:\tx\nCapEff:\t000001ffffffffff\n")
        (root / "proc/self/uid_map").write_text("         0          0 4294967295\n")
        self.switches = Switches(sig_enforce=False, modules_disabled=False)
        self.loaded: Mapping[str, Module] = {}
        self.cmdline = CommandLineFacts()

    def signed(self, ko: Ko) -> bytes:
        """A module signed with the key that the kernel trusts."""
        return self.signer.sign(make(ko))

    @property
    def mounts(self) -> Root:
        base = str(self.root).encode()
        return Root(procfs=base + b"/proc", sysfs=base + b"/sys", rootfs=base, modules=base + b"/lib/modules",
                    efivars=base + b"/sys/firmware/efi/efivars")  # fmt: skip

    @property
    def state(self) -> State:
        kernel = Kernel(release=RELEASE, version="#1", machine="x86_64", cmdline=self.cmdline, config=CONFIG)
        return State(
            boot_id="boot", started=EPOCH, kernel=kernel, inventory=Inventory(support=True, modules=self.loaded),
            posture=Posture(switches=self.switches, lsm=("capability",)),
        )  # fmt: skip

    def verdict(self, raw: bytes, release: str | None = None) -> LoadVerdict:
        """What preflight says of a file with these bytes."""
        (self.root / "asked.ko").write_bytes(raw)
        request = PreflightRequest(files=(str(self.root / "asked.ko"),), release=release)
        gathered = gather_preflight(self.mounts, self.state, request)
        assert gathered.problems == ()
        (verdict,) = preflight(gathered.candidates, gathered.host)
        return verdict


def in_tree(ko: Ko) -> Ko:
    return other(ko, ("intree", "Y"), ("name", ko.name), ("vermagic", VERMAGIC))


def exporting(symbol: str) -> Ko:
    """A stock module that exports one symbol to everybody."""
    parts = (
        Part(name="__ksymtab", data=bytes(12)),
        Part(name="__kflagstab", data=b"\x00"),
        Part(name="__kcrctab", data=struct.pack("<I", 0x77)),
    )
    symbols = (Sym(name=f"__ksymtab_{symbol}", section="__ksymtab"), Sym(name=f"__crc_{symbol}", section="__kcrctab"))
    plain = in_tree(replace(STOCK, name="other", versions={}, undefined=()))
    return replace(plain, parts=parts, symbols=symbols)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("keys"), "Kernel key")


@pytest.fixture
def host(tmp_path: Path, signer: Signer) -> Host:
    return Host(tmp_path, signer)


def test_gather_when_a_signed_module_of_this_kernel_then_it_loads(host: Host) -> None:
    host.switches = Switches(sig_enforce=True, modules_disabled=False)
    verdict = host.verdict(host.signed(replace(in_tree(STOCK), name="fresh")))
    assert (verdict.loads, verdict.name, verdict.effects.taints) == (True, "fresh", "")


def test_gather_when_unsigned_then_enforcement_decides(host: Host) -> None:
    raw = make(STOCK)
    assert host.verdict(raw).effects.taints == "OE"
    host.switches = Switches(sig_enforce=True, modules_disabled=False)
    assert host.verdict(raw).errno == "EKEYREJECTED"


def test_gather_when_the_kernel_exports_it_then_by_the_images_tables(host: Host) -> None:
    gpl = replace(STOCK, undefined=("two",), versions={"two": 0x22})
    spaced = host.verdict(make(gpl))
    assert spaced.errno == "EINVAL"
    assert spaced.log[0] == "stock: module uses symbol (two) from namespace NS, but does not import it."
    assert host.verdict(make(other(gpl, ("import_ns", "NS"), ("vermagic", VERMAGIC)))).loads is True
    shut = other(gpl, ("import_ns", "NS"), ("license", "Proprietary"))
    assert host.verdict(make(shut)).log == ("stock: Unknown symbol two (err -2)",)
    stale = replace(STOCK, versions={"one": 0x12})
    assert host.verdict(make(stale)).log[0] == "stock: disagrees about version of symbol one"


def test_gather_when_another_module_exports_it_then_it_must_be_loaded(host: Host) -> None:
    raw = make(replace(STOCK, name="user", undefined=("other_symbol",), versions={"other_symbol": 0x77}))
    missing = host.verdict(raw)
    assert missing.errno == "ENOENT"
    assert "exported by other, which is not loaded" in missing.obstacles[0].why
    host.loaded = {"other": Module(name="other", size=1, state=ModuleState.LIVE)}
    assert host.verdict(raw).loads is True
    assert host.verdict(make(replace(STOCK, name="other"))).errno == "EEXIST"


def test_gather_when_another_kernel_is_named_then_its_tree_counts_and_not_what_is_loaded(host: Host) -> None:
    raw = make(replace(STOCK, name="user", undefined=("other_symbol",), versions={"other_symbol": 0x77}))
    host.loaded = {"user": Module(name="user", size=1, state=ModuleState.LIVE)}
    running = replace(host.state.kernel, release="5.0") if host.state.kernel else None
    state = replace(host.state, kernel=running)
    (host.root / "asked.ko").write_bytes(raw)
    request = PreflightRequest(files=(str(host.root / "asked.ko"),), release=RELEASE)
    gathered = gather_preflight(host.mounts, state, request)
    (verdict,) = preflight(gathered.candidates, gathered.host)
    assert not gathered.host.running and verdict.loads is True
    assert "as it is booted now" in verdict.effects.notes[-1]


def test_gather_when_struct_module_or_machine_differ_then_as_in_the_stock_modules(host: Host) -> None:
    assert "must match the kernel's built struct module" not in str(host.verdict(make(replace(STOCK, name="a"))).log)
    rules = gather_preflight(host.mounts, host.state, PreflightRequest(files=())).host.rules
    assert rules is not None
    assert (rules.machine, rules.module_struct_bytes, rules.bits) == (62, 1280, 64)
    assert host.verdict(make(replace(STOCK, machine=183))).log == ()  # this image has none of the loader's messages


def test_gather_when_blacklisted_or_built_in_then_that(host: Host) -> None:
    host.cmdline = CommandLineFacts(module_blacklist=("stock",), modprobe_blacklist=("stock",))
    verdict = host.verdict(make(STOCK))
    assert verdict.errno == "EPERM"
    assert any(note.startswith("modprobe.blacklist= blacklists it") for note in verdict.effects.notes)
    host.cmdline = CommandLineFacts()
    assert host.verdict(make(replace(STOCK, name="builtin_one"))).errno == "EINVAL"


def test_gather_when_the_image_is_another_build_then_it_cannot_be_told(host: Host) -> None:
    notes = struct.pack("<III", 4, 20, 3) + b"GNU\0" + b"\xee" * 20
    (host.root / "sys/kernel/notes").write_bytes(notes)
    host.switches = Switches(sig_enforce=True, modules_disabled=False)
    verdict = host.verdict(host.signed(replace(in_tree(STOCK), name="fresh")))
    assert verdict.loads is None
    assert "another build" in verdict.effects.notes[-1]


@pytest.mark.parametrize(
    ("status", "mapping", "capable"),
    [
        ("CapEff:\t0000000000010000\n", "0 0 4294967295", True),
        ("CapEff:\t0000000000000000\n", "0 0 4294967295", False),
        ("CapEff:\t0000000000010000\n", "0 1000 1", False),
        ("CapEff:\tx\n", "0 0 4294967295", None),
    ],
)
def test_gather_when_capabilities_then_only_the_initial_namespaces_count(
    host: Host, status: str, mapping: str, capable: bool | None
) -> None:
    (host.root / "proc/self/status").write_text(status)
    (host.root / "proc/self/uid_map").write_text(mapping)
    assert gather_preflight(host.mounts, host.state, PreflightRequest(files=())).host.posture.capable is capable


def test_gather_when_nothing_is_installed_then_everything_is_in_doubt(tmp_path: Path) -> None:
    (tmp_path / "asked.ko").write_bytes(make(STOCK))
    base = str(tmp_path).encode()
    root = Root(procfs=base + b"/proc", sysfs=base + b"/sys", rootfs=base, modules=base + b"/lib/modules")
    state = State(boot_id="boot", started=EPOCH)
    request = PreflightRequest(files=(str(tmp_path / "asked.ko"),), release="6.1")
    gathered = gather_preflight(root, state, request)
    (verdict,) = preflight(gathered.candidates, gathered.host)
    assert verdict.loads is None
    assert gathered.host.symbols.complete is None and gathered.host.rules is None
    with pytest.raises(FileError, match="which kernel runs here is not known"):
        gather_preflight(root, state, PreflightRequest(files=()))


def test_modprobe_files_when_the_same_name_is_in_two_directories_then_the_first_counts(tmp_path: Path) -> None:
    for directory, name, text in (
        ("etc", "b.conf", "blacklist from-etc\n"),
        ("usr/lib", "b.conf", "blacklist hidden\n"),
        ("usr/lib", "a.conf", "install x /bin/false\noptions x y=1\n"),
        ("etc", "notes.txt", "blacklist no\n"),
    ):
        (tmp_path / directory / "modprobe.d").mkdir(parents=True, exist_ok=True)
        (tmp_path / directory / "modprobe.d" / name).write_text(text)
    tree = HostTree(tmp_path)
    assert modprobe_files(tree) == ("/usr/lib/modprobe.d/a.conf", "/etc/modprobe.d/b.conf")
    rules = modprobe_rules(tree, ("of-the-line",))
    assert [(one.source, one.kind, one.name, one.refuses) for one in rules] == [
        ("/usr/lib/modprobe.d/a.conf:1", "install", "x", True),
        ("/etc/modprobe.d/b.conf:1", "blacklist", "from_etc", False),
        ("modprobe.blacklist=", "blacklist", "of_the_line", False),
    ]
