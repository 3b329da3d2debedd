"""Module files of a whole host: a real examiner process on a made tree, hints, writable entries, what is recalled."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from kmodmon.config.sections import CertificateSettings, FilesSettings, PolicyFileSettings
from kmodmon.config.settings import Settings
from kmodmon.config.values import Seconds
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.runtime.one_shot import DaemonMemory, Scope, look_once
from kmodmon.sources.files import recalled
from kmodmon.sources.files_reader import FilesReader
from kmodmon.sources.source import AwaitedReader, SourceContext
from kmodmon.state.checkpoint import CHECKPOINTS
from kmodmon.state.state import State
from kmodmon.state.trust import provenance_of
from kmodmon.subjects.files import ModuleFilesRead, Origin
from kmodmon.subjects.module_file import OnDisk, TreeOrigin
from kmodmon.subjects.source import NOT_READ_YET
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Read, switched_off
from kmodmon.types.source_name import SourceName
from tests.elf_maker import Ko, make, other
from tests.fake_clock import FakeClock
from tests.module_files import certificate, image

RELEASE = "6.1.0-56-amd64"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    tree = tmp_path / "lib/modules" / RELEASE
    (tree / "kernel/lib").mkdir(parents=True)
    (tree / "kernel/lib/crc7.ko").write_bytes(image("crc7-6.1-amd64.ko"))
    (tree / "kernel/lib/mine.ko").write_bytes(make(Ko(name="mine")))
    (tree / "modules.dep").write_text("kernel/lib/crc7.ko:\nkernel/lib/mine.ko:\n")
    (tmp_path / "lib/modules/6.1.0-60-amd64").mkdir()
    (tmp_path / "lib/modules/6.1.0-60-amd64/modules.dep").write_text("")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/kernel.der").write_bytes(certificate("crc7-6.1-amd64.ko"))
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/osrelease").write_text(f"{RELEASE}\n")
    (tmp_path / "proc/sys/kernel/tainted").write_text("12288\n")
    (tmp_path / "proc/version").write_text(f"Linux version {RELEASE} (x@y) (gcc) #1 SMP\n")
    load(tmp_path, crc7="", mine="OE")
    return tmp_path


def load(host: Path, **modules: str) -> None:
    lines = [f"{name} 16384 0 - Live 0x0{f' ({taint})' if taint else ''}\n" for name, taint in modules.items()]
    (host / "proc/modules").write_text("".join(lines))
    for name in modules:
        (host / "sys/module" / name).mkdir(parents=True, exist_ok=True)


def surroundings(host: Path, hints: Mapping[str, str] | None = None, *, enabled: bool = True) -> SourceContext:
    base = str(host).encode()
    return SourceContext(
        root=Root(
            procfs=base + b"/proc", sysfs=base + b"/sys", rootfs=base, modules=base + b"/lib/modules",
            efivars=base + b"/efi", securityfs=base + b"/sec", tracefs=base + b"/trace", debugfs=base + b"/debug",
            kallsyms=base + b"/proc/kallsyms",
        ),
        settings=Settings(
            files=FilesSettings(settle=Seconds(0.1), enabled=enabled),
            certificates=CertificateSettings(directory=Path("/keys"), revoked=Path("/none")),
            policy=PolicyFileSettings(file=host / "policy.toml"),
        ),
        clock=FakeClock(),
        module_paths=lambda: hints or {},
    )  # fmt: skip


def examined(context: SourceContext) -> ModuleFilesRead:
    outcome = FilesReader(context)().outcome
    assert isinstance(outcome, Read) and isinstance(outcome.value, ModuleFilesRead)
    return outcome.value


def test_files_when_examined_then_verdict_origin_and_what_is_installed(host: Path) -> None:
    seen = examined(surroundings(host))
    assert seen.files["crc7"].signature.verdict is SignatureStatus.VALID
    assert seen.files["mine"].signature.verdict is SignatureStatus.UNSIGNED
    assert (seen.releases, seen.newer) == ((RELEASE, "6.1.0-60-amd64"), ("6.1.0-60-amd64",))
    assert seen.instances["crc7"] == (host / "sys/module/crc7").stat().st_ino


def test_files_when_a_loader_named_one_then_it_is_examined_too(host: Path) -> None:
    load(host, crc7="", away="OE", gone="OE")
    (host / "opt").mkdir()
    (host / "opt/away.ko").write_bytes(make(Ko(name="away")))
    seen = examined(surroundings(host, {"away": "/opt/away.ko", "gone": "/opt/gone.ko", "crc7": "/opt/other.txt"}))
    assert (seen.files["away"].path, seen.files["away"].origin) == ("/opt/away.ko", TreeOrigin.OUTSIDE)
    assert seen.files["gone"].path is None and seen.hinted["gone"] == "/opt/gone.ko"
    assert "crc7" not in seen.hinted


def test_files_when_the_named_one_is_another_build_then_it_is_not_believed(host: Path) -> None:
    (host / "sys/module/mine/srcversion").write_text("LOADED\n")
    (host / "opt").mkdir()
    (host / "opt/mine.ko").write_bytes(make(other(Ko(name="mine"), ("srcversion", "ELSE"))))
    assert examined(surroundings(host, {"mine": "/opt/mine.ko"})).files["mine"].path != "/opt/mine.ko"
    (host / "opt/mine.ko").write_bytes(make(other(Ko(name="mine"), ("srcversion", "LOADED"))))
    assert examined(surroundings(host, {"mine": "/opt/mine.ko"})).files["mine"].path == "/opt/mine.ko"


def test_entries_when_everybody_may_write_them_then_found_for_out_of_tree_modules_only(host: Path) -> None:
    own = host / "sys/module/mine"
    for path in (own / "control", own / "parameters/open", host / "sys/module/crc7/control", host / "proc/mine/do"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(0o666)
    (host / "sys/bus/pci/drivers/mine").mkdir(parents=True)
    (host / "sys/bus/pci/drivers/mine/poke").write_text("")
    (host / "sys/bus/pci/drivers/mine/poke").chmod(0o222)
    (own / "drivers").mkdir()
    (own / "drivers/pci:mine").symlink_to("../../../bus/pci/drivers/mine")
    (own / "link").symlink_to("/dev/null")
    assert {name: set(paths) for name, paths in examined(surroundings(host)).writable.items()} == {
        "mine": {"/sys/module/mine/control", "/proc/mine/do", "/sys/bus/pci/drivers/mine/poke"}
    }


def test_files_when_switched_off_or_without_a_tree_then_absent(host: Path) -> None:
    context = surroundings(host)
    off = replace(context, settings=replace(context.settings, files=FilesSettings(enabled=False)))
    assert FilesReader(off)().outcome == switched_off("files.enabled")
    (host / "proc/sys/kernel/osrelease").write_text("7.0\n")
    assert isinstance(FilesReader(context)().outcome, Absent)


def test_reader_when_cancelled_then_its_process_ends(host: Path) -> None:
    reader = FilesReader(surroundings(host))
    assert isinstance(reader, AwaitedReader)

    async def cancelled() -> None:
        task = asyncio.create_task(reader.awaited())
        while not psutil.Process().children():
            assert not task.done()
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not psutil.Process().children()

    asyncio.run(cancelled())


def test_command_when_the_daemon_examined_everything_then_believes_it_until_a_file_changes(host: Path) -> None:
    context = surroundings(host)
    state = look_once(context)
    known = recalled(context.root, state.files, state.inventory)
    assert known.files.keys() == {"crc7", "mine"}
    (host / "lib/modules" / RELEASE / "kernel/lib/mine.ko").write_bytes(make(Ko(name="mine", build_id=b"\xbb" * 20)))
    assert recalled(context.root, state.files, state.inventory).files.keys() == {"crc7"}
    assert not recalled(context.root, replace(state.files, records={}), state.inventory).files


def test_command_when_a_module_file_is_a_link_then_what_it_leads_to_counts(host: Path) -> None:
    tree = host / "lib/modules" / RELEASE
    (tree / "kernel/lib/mine.ko").rename(tree / "mine.ko")
    (tree / "kernel/lib/mine.ko").symlink_to("../../mine.ko")
    context = surroundings(host)
    state = look_once(context)
    assert recalled(context.root, state.files, state.inventory).files.keys() == {"crc7", "mine"}
    (tree / "mine.ko").write_bytes(make(Ko(name="mine", build_id=b"\xbb" * 20)))
    assert recalled(context.root, state.files, state.inventory).files.keys() == {"crc7"}


def remembered(state: State, *, daemon_running: bool) -> DaemonMemory:
    return DaemonMemory(saved={one.section: one.save(state) for one in CHECKPOINTS}, daemon_running=daemon_running)


def test_command_when_a_daemon_is_at_work_then_examines_only_what_may_be_found_and_the_rest_is_pending(
    host: Path,
) -> None:
    before = look_once(surroundings(host))
    state = look_once(surroundings(host), remembered(before, daemon_running=True))
    assert state.files.records.keys() == before.files.records.keys()
    assert {name: one.up for name, one in state.sources.items()} == {n: one.up for n, one in before.sources.items()}
    load(host, crc7="", mine="OE", late="", worse="OE")
    said: list[str] = []
    state = look_once(surroundings(host), remembered(before, daemon_running=True), Scope(say=said.append))
    assert [sentence.partition(":")[0] for sentence in said] == ["the daemon has yet to examine the files of 1 modules"]
    assert state.files.records.keys() == {"crc7", "mine", "worse"} and state.files.expected
    assert {one.module for one in state.findings.current.values()} == {"mine", "worse"}


@pytest.mark.parametrize(("daemon_running", "scope"), [(False, Scope()), (True, Scope(thorough=True))])
def test_command_when_the_daemon_has_gone_or_nothing_may_be_pending_then_examines_what_was_not(
    host: Path, daemon_running: bool, scope: Scope
) -> None:
    before = look_once(surroundings(host))
    load(host, crc7="", mine="OE", late="")
    state = look_once(surroundings(host), remembered(before, daemon_running=daemon_running), scope)
    assert state.files.records.keys() == {"crc7", "mine", "late"}
    assert "late" in {one.module for one in state.findings.current.values()}


def test_command_when_the_daemon_has_examined_nothing_yet_then_only_what_is_tainted_is_examined(host: Path) -> None:
    before = look_once(surroundings(host), scope=Scope(only=("modules",)))
    state = look_once(surroundings(host), remembered(before, daemon_running=True))
    assert (state.sources[SourceName.FILES].why, state.sources[SourceName.CROSSVIEW].why) == (
        NOT_READ_YET,
        NOT_READ_YET,
    )
    assert state.files.records.keys() == {"mine"} and set(state.findings.current) == {"unsigned-module/mine"}


def test_command_when_the_daemon_cannot_examine_then_says_what_the_daemon_says(host: Path) -> None:
    before = look_once(surroundings(host, enabled=False))
    state = look_once(surroundings(host), remembered(before, daemon_running=True))
    assert state.sources[SourceName.FILES].why == "switched off by files.enabled" and not state.files.records


def test_command_when_many_files_are_to_be_examined_then_says_so_first(host: Path) -> None:
    load(host, **{f"m{number}": "" for number in range(9)})
    said: list[str] = []
    look_once(surroundings(host), scope=Scope(say=said.append))
    assert [sentence.partition(";")[0] for sentence in said] == ["examining the files of 9 modules"]


def test_host_when_looked_at_once_then_findings_are_there(host: Path) -> None:
    state = look_once(surroundings(host))
    known = provenance_of(state, state.inventory.modules["crc7"])
    assert (known.signature, known.origin, known.on_disk) == (SignatureStatus.VALID, Origin.KERNEL, OnDisk.UNKNOWN)
    assert set(state.findings.current) == {"unsigned-module/mine"}
    without = look_once(surroundings(host), scope=Scope(only=("modules",)))
    assert without.sources[SourceName.FILES].last_read is None and without.files.records == {}


def test_daemon_when_imported_then_no_library_of_the_examiner_comes_with_it() -> None:
    code = (
        "import sys, kmodmon.runtime.daemon; print([m for m in ('cryptography', 'backports.zstd') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
