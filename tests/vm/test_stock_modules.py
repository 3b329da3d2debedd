"""Every module of whole stock kernel packages: what modinfo says of it, and its signature verified.

The packages are fetched like the lab's kernels (tests/vm), so these tests run where those do.
"""

import functools
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodmon.examiner.boot import find_image
from kmodmon.examiner.certificates import Trust, TrustRequest, gather_trust
from kmodmon.examiner.examine import examine_file
from kmodmon.examiner.image import ImageLimits, open_image
from kmodmon.examiner.kernel_image import read_kernel_image
from kmodmon.examiner.tree import HostTree
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.modfile.elf import parse_elf, section_bytes
from kmodmon.modfile.modinfo import SECTION_LIMIT, parse_modinfo
from kmodmon.modfile.module_signature import TAIL_BYTES, parse_trailer
from kmodmon.modfile.pkcs7 import parse_signed_data
from kmodmon.modfile.symvers import parse_symvers
from kmodmon.types.text import raw_bytes
from tests.tools import locked, tool, unpack
from tests.vm.lab import build, directory, stamp
from tests.vm.suites import Suite

pytestmark = pytest.mark.vm

SUITES = ("bookworm", "trixie", "sid")


class Stock:
    """A kernel package with its headers, unpacked: a host as far as the examiner is concerned."""

    def __init__(self, suite: str, flavour: str) -> None:
        with locked("vm"):
            packages = Suite(name=suite)
            packages.refresh()
            image = packages.depends(f"linux-image-{flavour}", "linux-image-")
            assert image is not None
            self.release = image.removeprefix("linux-image-")
            where = directory("stock") / f"{suite}-{flavour}"
            self.root = build(where, stamp("1", image), functools.partial(self._make, packages, image)) / "root"
        self.host = HostTree(self.root)
        self.paths = tuple(path for path in self.host.walk(f"/lib/modules/{self.release}/kernel") if ".ko" in path)

    def _make(self, packages: Suite, image: str, target: Path) -> None:
        literal = self.release.replace("+", "[+]")
        kinds = ("linux-binary", "linux-modules", "linux-base")  # since 7.x the image package only names these
        parts = [packages.depends(image, f"{kind}-{literal}") for kind in kinds]
        wanted = [image, f"linux-headers-{self.release}", *(part for part in parts if part is not None)]
        unpack(packages.download(wanted, target / "debs"), target / "root")
        if not (target / "root/lib").exists():
            (target / "root/lib").symlink_to("usr/lib")
        for deb in (target / "debs").glob("*.deb"):
            deb.unlink()

    @functools.cached_property
    def trust(self) -> Trust:
        """What the kernel image trusts."""
        return gather_trust(self.host, TrustRequest(release=self.release, sysfs="/nonexistent"))


@pytest.fixture(scope="module")
def generic() -> Stock:
    return Stock("bookworm", "amd64")


@pytest.fixture(scope="module", params=SUITES)
def stock(request: pytest.FixtureRequest) -> Iterator[Stock]:
    yield Stock(str(request.param), "amd64" if request.param == "bookworm" else "cloud-amd64")


def modinfo(paths: list[str]) -> list[list[tuple[bytes, bytes]]]:
    """What kmod's modinfo prints about each file, without parameters."""
    files: list[list[tuple[bytes, bytes]]] = []
    for start in range(0, len(paths), 500):
        command = (str(tool("modinfo")), "-0", *paths[start : start + 500])
        for item in subprocess.run(command, capture_output=True, check=True).stdout.split(b"\0"):
            if item.startswith(b"filename:"):
                files.append([])
            elif item and not item.startswith(b"parm:"):
                key, _, value = item.partition(b"=")
                files[-1].append((key, value.replace(b"\n\t\t", b"")))
    return files


def ours(stock: Stock, path: str) -> list[tuple[bytes, bytes]]:
    """The same, as read here."""
    with open_image(stock.host, path, ImageLimits()) as image:
        elf = parse_elf(image.read, image.size)
        section = elf.find(b".modinfo")
        assert section is not None
        fields = list(parse_modinfo(section_bytes(elf, image.read, section, SECTION_LIMIT)).fields)
        trailer = parse_trailer(image.read(image.size - TAIL_BYTES, TAIL_BYTES), image.size)
        assert trailer is not None
        (info,) = parse_signed_data(image.read(trailer.signed_bytes, trailer.signature_bytes)).signers
        fields += [("sig_id", trailer.id_name), ("signer", info.signer or ""), ("sig_key", info.key_text)]
        fields += [("sig_hashalgo", info.digest), ("signature", info.signature.hex(":").upper())]
    return [(raw_bytes(key), raw_bytes(value)) for key, value in fields if key not in {"parm", "parmtype"}]


def test_modinfo_when_every_stock_module_then_no_difference(stock: Stock) -> None:
    assert len(stock.paths) > (4000 if stock.release.startswith("6.1.") else 900)
    theirs = modinfo([stock.host.resolved(path) for path in stock.paths])
    assert [path for path, their in zip(stock.paths, theirs, strict=True) if ours(stock, path) != their] == []


def test_examine_when_every_stock_module_then_valid(stock: Stock) -> None:
    verdicts = {path: examine_file(stock.host, path, trust=stock.trust) for path in stock.paths}
    assert [path for path, file in verdicts.items() if file.signature.verdict is not SignatureStatus.VALID] == []
    assert [path for path, file in verdicts.items() if file.problem is not None] == []
    assert {file.vermagic for file in verdicts.values()} == {stock.trust.kernel and stock.trust.kernel.vermagic}


def test_kernel_image_when_its_exports_are_read_then_they_are_those_of_the_headers(stock: Stock) -> None:
    path = find_image(stock.host, stock.release)
    assert path is not None
    image = read_kernel_image(stock.host, path, stock.release, exports=True)
    raw = (stock.root / f"usr/src/linux-headers-{stock.release}/Module.symvers").read_bytes()
    symvers = parse_symvers(raw)
    owned = {name: one.export for name, one in symvers.exports.items() if one.owner is None}
    assert image.exports is not None
    found = {one.name: one if symvers.versions else one._replace(crc=0) for one in image.exports}
    assert found == owned


def test_speed_when_against_a_modinfo_loop_then_faster_though_it_verifies(
    generic: Stock, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [generic.host.resolved(path) for path in generic.paths]
    trust = generic.trust
    before, began = _children(), time.monotonic()
    for file in files:
        subprocess.run((str(tool("modinfo")), file), stdout=subprocess.DEVNULL, check=True)
    loop_cpu, loop_wall = _children() - before, time.monotonic() - began
    cpu, began = time.process_time(), time.monotonic()
    for path in generic.paths:
        examine_file(generic.host, path, trust=trust)
    our_cpu, our_wall = time.process_time() - cpu, time.monotonic() - began
    ratios = f"x {our_cpu / loop_cpu:.2f} CPU, x {our_wall / loop_wall:.2f} wall"
    with capsys.disabled():
        print(f"\n{len(files)} files: modinfo loop {loop_cpu:.1f} s CPU, {loop_wall:.1f} s wall")
        print(f"examined and verified {our_cpu:.1f} s CPU, {our_wall:.1f} s wall: {ratios}")
    assert our_wall < loop_wall
    assert our_cpu < loop_cpu


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_memory_when_a_whole_package_was_examined_then_little_more_than_before(generic: Stock) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert generic.trust.certificates
    after_kernel = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in generic.paths[::7]:
        examine_file(generic.host, path, trust=generic.trust)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(peak, after_kernel) < 64 * 1024
