"""The examiner process and its client: answers, what is remembered, processes that die, hang or talk rubbish."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from kmodmon.events.codec import ShapeError
from kmodmon.examiner import client
from kmodmon.examiner.answer import answer
from kmodmon.examiner.client import Examiner
from kmodmon.examiner.protocol import (
    Closing,
    ExamineRequest,
    ExaminerError,
    Same,
    WantedModule,
    encode_answer,
    encode_request,
    parse_answer,
    parse_request,
)
from kmodmon.lifecycle.inventory import ModuleAttributes, SignatureStatus
from kmodmon.subjects.module_file import ModuleFile, OnDisk, Package, Stamp, TreeOrigin, compare
from tests.elf_maker import Ko, make, other
from tests.module_files import certificate, image

RELEASE = "6.1.0-56-amd64"
TREE = f"lib/modules/{RELEASE}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / TREE / "kernel/lib").mkdir(parents=True)
    (tmp_path / TREE / "updates").mkdir()
    (tmp_path / TREE / "kernel/lib/crc7.ko").write_bytes(image("crc7-6.1-amd64.ko"))
    (tmp_path / TREE / "kernel/lib/mine.ko").write_bytes(make(Ko(name="mine")))
    (tmp_path / TREE / "modules.dep").write_text("kernel/lib/crc7.ko:\nkernel/lib/mine.ko:\n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/kernel.der").write_bytes(certificate("crc7-6.1-amd64.ko"))
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/info/linux-image.list").write_text(f"/{TREE}/kernel/lib/crc7.ko\n")
    return tmp_path


def request(root: Path, *names: str) -> ExamineRequest:
    return ExamineRequest(
        release=RELEASE,
        rootfs=str(root),
        sysfs=str(root / "sys"),
        certificates=("/keys",),
        modules=tuple(WantedModule(name=name) for name in names),
    )


def files(asked: ExamineRequest) -> dict[str, ModuleFile]:
    return {one.name: one for one in answer(asked) if isinstance(one, ModuleFile)}


def test_answer_when_modules_are_asked_for_then_file_verdict_and_package(root: Path) -> None:
    found = files(request(root, "crc7", "mine", "nosuch"))
    assert found["crc7"].signature.verdict is SignatureStatus.VALID
    assert found["crc7"].origin is TreeOrigin.KERNEL
    assert found["crc7"].package == Package(manager="dpkg", name="linux-image")
    assert found["mine"].signature.verdict is SignatureStatus.UNSIGNED and found["mine"].package is None
    assert found["nosuch"].path is None and found["nosuch"].origin is TreeOrigin.MISSING
    closing = list(answer(request(root)))[-1]
    assert isinstance(closing, Closing)
    assert closing.problems == (f"no image of kernel {RELEASE} in /boot or its module tree",)


def test_answer_when_another_file_is_the_build_that_is_loaded_then_that_one(root: Path) -> None:
    older = other(Ko(name="crc7", build_id=b"\xaa" * 20), ("srcversion", "OLD"))
    (root / TREE / "updates/crc7.ko").write_bytes(make(older))
    asked = request(root)
    for wanted, path in (
        (WantedModule(name="crc7", build_id="aa" * 20), "updates/crc7.ko"),
        (WantedModule(name="crc7", build_id="bb" * 20), "kernel/lib/crc7.ko"),
        (WantedModule(name="crc7", srcversion="OLD"), "kernel/lib/crc7.ko"),  # the stock file has none to compare
    ):
        assert files(replace(asked, modules=(wanted,)))["crc7"].path == f"/{TREE}/{path}"


def test_answer_when_a_file_is_named_then_it_is_examined_wherever_it_is(root: Path) -> None:
    (root / "tmp").mkdir()
    (root / "tmp/mine.ko").write_bytes(make(Ko(name="its_own_name")))
    found = files(replace(request(root), files=("/tmp/mine.ko", "/tmp/none.ko")))
    assert found["its_own_name"].origin is TreeOrigin.OUTSIDE
    assert found["none"].problem == "/tmp/none.ko: No such file or directory"


def test_protocol_when_written_and_read_then_the_same(root: Path) -> None:
    stamp = Stamp(device=1, inode=2, size=3, mtime_nsec=4, ctime_nsec=5)
    asked = replace(
        request(root, "a"), modules=(WantedModule(name="x", build_id="ab", known_path="/p", known_stamp=stamp),),
        kernel={"path": "/boot/x"}, files=("/tmp/\udcff",),
    )  # fmt: skip
    assert parse_request(encode_request(asked)) == asked
    for one in (*answer(request(root, "crc7", "nosuch")), Same(name="x")):
        assert parse_answer(encode_answer(one)) == one


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"file":{}}', b'{"file":{"name":7}}', b'{"closing":{"trust":1}}'])
def test_parse_answer_when_it_is_none_then_shape_error(raw: bytes) -> None:
    with pytest.raises(ShapeError):
        parse_answer(raw)
    with pytest.raises(ShapeError):
        parse_request(raw)


def test_examine_when_asked_twice_then_unchanged_files_are_not_read_again(root: Path) -> None:
    examiner = Examiner(places=request(root))
    wanted = (WantedModule(name="crc7"), WantedModule(name="mine"))

    async def both() -> None:
        first = await examiner.examine(wanted)
        assert {name: file.signature.verdict.value for name, file in first.files.items()} == {
            "crc7": "valid",
            "mine": "unsigned",
        }
        second = await examiner.examine(wanted)
        assert all(second.files[name] is first.files[name] for name in first.files)
        (root / TREE / "kernel/lib/mine.ko").write_bytes(make(Ko(name="mine", build_id=b"\x01" * 20)))
        third = await examiner.examine(wanted)
        assert third.files["crc7"] is first.files["crc7"]
        assert third.files["mine"].build_id == "01" * 20
        (root / "keys/kernel.der").unlink()
        fourth = await examiner.examine(wanted)
        assert fourth.files["crc7"].signature.verdict is SignatureStatus.SIGNED
        loaded_anew = await examiner.examine([WantedModule(name="mine", build_id="02" * 20)])
        assert loaded_anew.files["mine"] is not fourth.files["mine"]

    asyncio.run(both())


def fake(tmp_path: Path, body: str) -> tuple[str, ...]:
    """An examiner that behaves badly: `body` has the parsed request in `asked`."""
    script = tmp_path / "fake.py"
    script.write_text(
        "import json, os, sys, time\nasked = json.load(sys.stdin)\n"
        "def say(x): print(json.dumps(x), flush=True)\n" + body
    )
    return (sys.executable, str(script))


def file_json(name: str) -> str:
    return json.dumps(json.loads(encode_answer(ModuleFile(name=name))))


NAMES = tuple(WantedModule(name=name) for name in ("a", "b", "c"))


def test_examine_when_the_process_dies_at_a_file_then_that_file_is_blamed(tmp_path: Path) -> None:
    body = (
        f"answer = json.loads({file_json('X')!r})\n"
        "for one in asked['modules']:\n"
        "    if one['name'] == 'b': os.kill(os.getpid(), 11)\n"
        "    answer['file']['name'] = one['name']; say(answer)\n"
        "say({'closing': {'kernel': None, 'trust': 't', 'problems': ['p']}})\n"
    )
    examiner = Examiner(places=request(tmp_path), command=fake(tmp_path, body))
    found = asyncio.run(examiner.examine(NAMES))
    assert list(found.files) == ["a", "b", "c"]
    assert found.files["b"].problem == "the examiner died of SIGSEGV at this file"
    assert found.files["c"].problem is None
    assert found.problems == ("p",)


def test_examine_when_it_takes_too_long_then_it_is_killed_and_what_is_missing_is_said(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    body = (
        f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        f"answer = json.loads({file_json('a')!r}); say(answer)\ntime.sleep(600)\n"
    )
    examiner = Examiner(places=request(tmp_path), command=fake(tmp_path, body), timeout=3)
    found = asyncio.run(examiner.examine(NAMES))
    assert list(found.files) == ["a"]
    assert found.problems == ("examining took more than 3 s, 2 files were not reached",)
    until = time.monotonic() + 10
    while Path(f"/proc/{pid.read_text()}").exists():
        assert time.monotonic() < until


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("print('hello')", "something else than an answer"),
        ("print('x' * 3000000)", "something else than an answer"),
        ("sys.exit('no such module')", "no such module"),
        ("print('bad release', file=sys.stderr); sys.exit(2)", "refused the request: bad release"),
        ("say({'same': 'a'})", "something else than an answer"),
    ],
)
def test_examine_when_the_process_cannot_do_its_work_then_examiner_error(tmp_path: Path, body: str, why: str) -> None:
    examiner = Examiner(places=request(tmp_path), command=fake(tmp_path, body), timeout=60)
    with pytest.raises(ExaminerError, match=why):
        asyncio.run(examiner.examine(NAMES))


def test_examine_when_the_program_is_missing_then_examiner_error(tmp_path: Path) -> None:
    examiner = Examiner(places=request(tmp_path), command=("/no/such/program",))
    with pytest.raises(ExaminerError, match="cannot start"):
        asyncio.run(examiner.examine(NAMES))


def test_examine_when_the_release_is_none_then_the_process_refuses(root: Path) -> None:
    examiner = Examiner(places=replace(request(root), release="../.."))
    with pytest.raises(ExaminerError, match="is no kernel release"):
        asyncio.run(examiner.examine([WantedModule(name="crc7")]))


def test_process_when_the_request_is_garbage_then_it_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kmodmon.examiner"], input=b"garbage", capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"request: wants JSON" in done.stderr


def test_client_when_imported_then_no_cryptography_comes_with_it() -> None:
    heavy = ("cryptography", "lzma", "backports")
    probe = f"import sys, kmodmon.examiner.client; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_compare_when_loaded_and_file_differ_then_replaced_or_from_elsewhere() -> None:
    stamp = Stamp(device=1, inode=1, size=1, mtime_nsec=0, ctime_nsec=5_000_000)
    file = ModuleFile(name="x", path="/x.ko", build_id="aa", srcversion="S1", stamp=stamp)
    same = ModuleAttributes(build_id="aa", srcversion="OTHER")
    different = ModuleAttributes(build_id="bb", srcversion="S1")
    assert compare(same, file, None) is OnDisk.SAME
    assert compare(different, file, 4000) is OnDisk.REPLACED
    assert compare(different, file, 6000) is OnDisk.ELSEWHERE
    assert compare(different, file, None) is OnDisk.REPLACED
    assert compare(ModuleAttributes(srcversion="S1"), file, None) is OnDisk.SAME
    assert compare(ModuleAttributes(), file, None) is OnDisk.UNKNOWN
    assert compare(same, ModuleFile(name="x"), None) is OnDisk.DELETED


def test_examiner_when_it_waits_in_the_kernel_and_cannot_be_killed_then_it_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "_DYING", 0.02)

    class Undying:
        returncode = None
        killed = 0

        def kill(self) -> None:
            self.killed += 1

        async def wait(self) -> int:
            await asyncio.Event().wait()
            return 0

    async def work() -> None:
        process = Undying()
        never: asyncio.Task[bytes] = asyncio.create_task(_never())
        assert await client._ended(cast(asyncio.subprocess.Process, process), never) == ""
        assert process.killed == 1
        never.cancel()

    asyncio.run(work())


async def _never() -> bytes:
    await asyncio.Event().wait()
    return b""
