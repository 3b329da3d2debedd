"""Files of every compression, read in part and whole; files that want too much; links and things that are no files."""

import gzip
import lzma
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from kmodmon.examiner.image import ImageLimits, open_image
from kmodmon.examiner.tree import FileError, HostTree

Packer = Callable[[bytes], bytes]
PACKERS: dict[str, Packer] = {
    "plain": lambda raw: raw,
    "gzip": lambda raw: gzip.compress(raw, compresslevel=1),
    "xz": lambda raw: lzma.compress(raw, preset=0),
    "zstd": lambda raw: zstd.compress(raw, options={int(zstd.CompressionParameter.checksum_flag): 1}),
}
MIB = 1 << 20


def noise(size: int) -> bytes:
    """Bytes that hardly compress, the same every time."""
    return b"".join(zlib.crc32(number.to_bytes(4, "big")).to_bytes(4, "big") for number in range(size // 4))


LARGE = noise(10 * MIB) + bytes(3 * MIB)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> HostTree:
    root: Path = tmp_path_factory.mktemp("root")
    for form, pack in PACKERS.items():
        (root / f"large.{form}").write_bytes(pack(LARGE))
        (root / f"small.{form}").write_bytes(pack(b"small file"))
        (root / f"empty.{form}").write_bytes(pack(b""))
    return HostTree(root)


@pytest.mark.parametrize("form", PACKERS)
def test_read_when_large_then_any_part_is_as_in_the_file(tree: HostTree, form: str) -> None:
    with open_image(tree, f"/large.{form}", ImageLimits()) as image:
        assert image.size == len(LARGE)
        assert image.compression == (None if form == "plain" else form)
        for offset in (0, 5, 3 * MIB, 7 * MIB + 1, len(LARGE) - 100):
            assert image.read(offset, 64) == LARGE[offset : offset + 64]
        assert image.read(len(LARGE) - 3, 100) == LARGE[-3:]
        assert image.read(len(LARGE), 5) == image.read(1 << 62, 5) == b""


@pytest.mark.parametrize("form", PACKERS)
def test_chunks_when_large_then_the_whole_file(tree: HostTree, form: str) -> None:
    with open_image(tree, f"/large.{form}", ImageLimits()) as image:
        assert zlib.crc32(b"".join(image.chunks())) == zlib.crc32(LARGE)
        assert all(len(chunk) <= MIB for chunk in image.chunks())


@pytest.mark.parametrize("form", PACKERS)
def test_read_when_small_or_empty_then_as_in_the_file(tree: HostTree, form: str) -> None:
    with open_image(tree, f"/small.{form}", ImageLimits()) as image:
        assert (image.size, image.read(0, 100), b"".join(image.chunks())) == (10, b"small file", b"small file")
    with open_image(tree, f"/empty.{form}", ImageLimits()) as image:
        assert (image.size, image.read(0, 1), b"".join(image.chunks())) == (0, b"", b"")


def test_prefetch_when_many_parts_are_wanted_then_one_pass_serves_them(tree: HostTree) -> None:
    parts = [(2 * MIB + at * 1000, 500) for at in range(100)]
    with open_image(tree, "/large.zstd", ImageLimits()) as image:
        image.prefetch(parts)
        assert all(image.read(*part) == LARGE[part[0] : part[0] + part[1]] for part in parts)
        with pytest.raises(FileError, match="held in memory"):
            image.prefetch([(2 * MIB, 60 * MIB), (3 * MIB, 60 * MIB), (2 * MIB + 7, 60 * MIB)])


def test_read_when_every_part_needs_another_pass_then_it_ends(tree: HostTree) -> None:
    with open_image(tree, "/large.zstd", ImageLimits()) as image, pytest.raises(FileError, match="more than 8 times"):
        for at in range(20):
            image.read(2 * MIB + at * 1000, 500)


@pytest.mark.parametrize("form", ["gzip", "xz", "zstd"])
def test_open_when_cut_off_broken_or_continued_then_file_error(tmp_path: Path, form: str) -> None:
    packed = PACKERS[form](noise(MIB))
    wrong = bytearray(packed)
    wrong[len(wrong) // 2] ^= 0xFF
    cases = {"cut off": packed[:-20], "broken": bytes(wrong), "more data after": packed + PACKERS[form](b"x")}
    for why, raw in cases.items():
        (tmp_path / "file").write_bytes(raw)
        with pytest.raises(FileError, match=f"{why}|broken"):
            open_image(HostTree(tmp_path), "/file", ImageLimits())


def test_open_when_larger_than_allowed_then_file_error(tree: HostTree) -> None:
    for form in PACKERS:
        with pytest.raises(FileError, match="bytes"):
            open_image(tree, f"/large.{form}", ImageLimits(max_bytes=MIB))


def test_open_when_the_window_is_too_large_then_file_error(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 256 * MIB}]
    (tmp_path / "xz").write_bytes(lzma.compress(b"x" * 100, filters=filters))
    options = {int(zstd.CompressionParameter.window_log): 30, int(zstd.CompressionParameter.content_size_flag): 0}
    stream = zstd.ZstdCompressor(options=options)
    (tmp_path / "zstd").write_bytes(stream.compress(b"x" * 100) + stream.flush())
    for form in ("xz", "zstd"):
        with pytest.raises(FileError, match=f"broken {form} data"):
            open_image(HostTree(tmp_path), f"/{form}", ImageLimits())


BOMB_PROBE = """
import resource, sys
from pathlib import Path
from kmodmon.examiner.examine import examine_file
from kmodmon.examiner.tree import HostTree
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
small = examine_file(HostTree(Path(sys.argv[1])), "/small.ko")
before = peak()
file = examine_file(HostTree(Path(sys.argv[1])), "/" + sys.argv[2])
print(file.signature.verdict.value, (peak() - before) // 1024, file.signature.reason)
"""


@pytest.mark.parametrize("form", ["plain", "gzip", "xz", "zstd"])
def test_examine_when_a_file_is_huge_or_a_bomb_then_a_verdict_in_little_memory(tmp_path: Path, form: str) -> None:
    (tmp_path / "small.ko").write_bytes(b"\x7fELF" + bytes(2000))
    name = f"bomb.{form}"
    if form == "plain":
        with (tmp_path / name).open("wb") as file:  # a sparse file of what no limit forbids
            file.truncate(400 * MIB)
    else:
        piece = PACKERS[form](bytes(200 * MIB)) if form == "zstd" else _bomb(form)
        (tmp_path / name).write_bytes(piece)
    done = subprocess.run(
        [sys.executable, "-c", BOMB_PROBE, str(tmp_path), name], capture_output=True, text=True, check=True, timeout=120
    )
    verdict, mebibytes, reason = done.stdout.strip().split(" ", 2)
    assert verdict == ("unsigned" if form == "plain" else "unknown"), reason
    assert int(mebibytes) <= 64
    assert form == "plain" or "larger than" in reason


def _bomb(form: str) -> bytes:
    """200 MiB of zeros, packed piece by piece."""
    packer = lzma.LZMACompressor(preset=0) if form == "xz" else zlib.compressobj(level=1, wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(200)) + packer.flush()


def test_open_when_it_is_no_regular_file_then_file_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "device").symlink_to("../../../../../../../dev/zero")
    for name in ("fifo", "directory", "loop", "missing", "device", "nul\0name"):
        with pytest.raises(FileError):
            open_image(HostTree(tmp_path), f"/{name}", ImageLimits())


def test_real_when_links_are_absolute_then_they_stay_inside_the_host(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/modules/6.1").mkdir(parents=True)
    (tmp_path / "usr/lib/modules/6.1/x.ko").write_bytes(b"module")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr/lib/modules/6.1/weak.ko").symlink_to("/lib/modules/6.1/x.ko")
    (tmp_path / "usr/lib/up.ko").symlink_to("../../../../../lib/modules/6.1/x.ko")
    tree = HostTree(tmp_path)
    assert tree.real("/lib/modules/6.1/weak.ko") == "/usr/lib/modules/6.1/x.ko"
    assert tree.read("/lib/modules/6.1/weak.ko", 100) == tree.read("/lib/up.ko", 100) == b"module"
    assert list(tree.walk("/lib/modules")) == ["/lib/modules/6.1/weak.ko", "/lib/modules/6.1/x.ko"]
    with pytest.raises(FileError, match="more than 3 bytes"):
        tree.read("/lib/up.ko", 3)


def test_real_when_the_module_trees_are_mounted_elsewhere_then_they_are_found_there(tmp_path: Path) -> None:
    (tmp_path / "host/usr/lib/modules").mkdir(parents=True)
    (tmp_path / "host/lib").symlink_to("usr/lib")
    (tmp_path / "mounted/6.1").mkdir(parents=True)
    (tmp_path / "mounted/6.1/x.ko").write_bytes(b"module")
    (tmp_path / "mounted/6.1/y.ko").symlink_to("/usr/lib/modules/6.1/x.ko")
    (tmp_path / "mounted/6.1/z.ko").symlink_to("../6.1/x.ko")
    (tmp_path / "mounted/6.1/build").symlink_to("../../../src/headers")
    (tmp_path / "host/usr/src/headers").mkdir(parents=True)
    (tmp_path / "host/usr/src/headers/x").write_bytes(b"module")
    tree = HostTree(tmp_path / "host", tmp_path / "mounted")
    for path in (
        "/lib/modules/6.1/x.ko",
        "/usr/lib/modules/6.1/y.ko",
        "/lib/modules/6.1/z.ko",
        "/lib/modules/6.1/build/x",
    ):
        assert tree.read(path, 100) == b"module"
    names = ("build", "x.ko", "y.ko", "z.ko")
    assert list(tree.walk("/lib/modules")) == [f"/lib/modules/6.1/{name}" for name in names]
    assert tree.names("/lib") == ("modules",)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["gzip", "xz", "zstd"]), st.integers(0, 400), st.integers(0, 255))
def test_open_when_compressed_data_is_damaged_then_a_value_or_file_error(
    tmp_path_factory: pytest.TempPathFactory, form: str, place: int, value: int
) -> None:
    raw = bytearray(PACKERS[form](noise(400)))
    raw[place % len(raw)] = value
    root = tmp_path_factory.getbasetemp()
    (root / "damaged").write_bytes(raw)
    try:
        with open_image(HostTree(root), "/damaged", ImageLimits()) as image:
            image.read(0, image.size)
    except FileError:
        return
