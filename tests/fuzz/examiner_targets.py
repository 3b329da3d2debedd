"""Targets of kmodmon/examiner: files of a host, which is a directory of this process, written anew for each input."""

import functools
import tempfile
from pathlib import Path

from kmodmon.examiner import protocol
from kmodmon.examiner.certificates import KnownCertificate, Trust, TrustRequest, gather_trust
from kmodmon.examiner.decompress import KERNEL_FORMS, decompress
from kmodmon.examiner.examine import examine_file
from kmodmon.examiner.image import ImageLimits
from kmodmon.examiner.kernel_image import KernelImage, read_kernel_image
from kmodmon.examiner.linkable import SymbolRequest, gather_symbols
from kmodmon.examiner.loading import read_exports, read_loading_facts
from kmodmon.examiner.locate import module_tree
from kmodmon.examiner.modprobe import modprobe_rules
from kmodmon.examiner.package import find_owners
from kmodmon.examiner.rpm_header import parse_rpm_header
from kmodmon.examiner.stock import stock_module
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.modfile.loader_elf import LoaderRules
from kmodmon.modfile.x509 import parse_certificate
from kmodmon.subjects.module_file import Keyring
from kmodmon.types.error import ParseError
from tests.fuzz.inputs import cut, pieces, tried
from tests.module_files import RECORDED, certificate

RELEASE = "6.1.0-9-amd64"
_LIMITS = ImageLimits(max_bytes=8 << 20, window_log=20)


@functools.cache
def scratch() -> Path:
    """A directory of this process, which is removed at its end."""
    directory = tempfile.TemporaryDirectory(prefix="kmodmon-fuzz-")
    _KEPT.append(directory)
    return Path(directory.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def put(path: str, data: bytes) -> Path:
    """Write a file of the host."""
    file = scratch() / path
    if not file.parent.exists():
        file.parent.mkdir(parents=True)
    file.write_bytes(data)
    return file


@functools.cache
def trust() -> Trust:
    """The certificates of the kernels whose modules are recorded."""
    return Trust(
        certificates=tuple(
            KnownCertificate(certificate=parse_certificate(certificate(name)), keyring=Keyring.BUILTIN, source="image")
            for name in RECORDED
        )
    )


def module_file(data: bytes) -> object:
    """A verdict is valid only for a file that was signed, and what was read is text that can be shown."""
    put("m.ko", data)
    host = HostTree(scratch())
    file = examine_file(host, "/m.ko", trust=trust(), limits=_LIMITS)
    facts = read_loading_facts(host, "/m.ko", LoaderRules(), _LIMITS)
    exports = tried((FileError, ParseError), read_exports, host, "/m.ko", _LIMITS)
    return file, facts, exports


def whole_kernel(data: bytes) -> object:
    put("boot/vmlinuz", data)
    image: KernelImage = read_kernel_image(HostTree(scratch()), "/boot/vmlinuz", RELEASE, exports=True)
    return image.vermagic, image.build_id, image.rules, [each.name for each in (*image.trusted, *image.revoked)]


def certificates(data: bytes) -> object:
    db, dbx, table, configured, revoked = pieces(data, 5)
    put("sys/firmware/efi/efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f", db)
    put("sys/firmware/efi/efivars/dbx-d719b2cb-3d3a-4596-a3bc-dad00e67656f", dbx)
    put("sys/firmware/efi/mok-variables/MokListRT", table)
    put("etc/trusted/a.pem", configured)
    put("etc/revoked/a.pem", revoked)
    request = TrustRequest(
        release=RELEASE, sysfs=str(scratch() / "sys"), certificates=("/etc/trusted",), revoked=("/etc/revoked",)
    )
    found = gather_trust(HostTree(scratch()), request)
    return (
        found.digest,
        [entry.certificate.name for entry in found.certificates],
        found.revoked_files,
        found.revoked_tbs,
    )


def decompressed(data: bytes) -> object:
    """The contents do not depend on how the stream is cut into chunks, and each chunk is bounded."""
    whole, chunks = cut(data)
    for form in sorted(KERNEL_FORMS):
        outcomes = [_contents(form, each) for each in ([whole], [chunk for chunk in chunks if chunk])]
        assert outcomes[0] == outcomes[1], form
    return None


def _contents(form: str, compressed: list[bytes]) -> bytes | None:
    out = bytearray()
    try:
        for chunk in decompress(form, iter(compressed), 20):
            assert len(chunk) <= 1 << 20
            out += chunk
            if len(out) > 4 << 20:
                break
    except FileError:
        return None
    return bytes(out[: 4 << 20])


def packages(data: bytes) -> object:
    """Lists of dpkg and pacman, and the file of rpm's database."""
    listed, status, files, database = pieces(data, 4)
    put("var/lib/dpkg/info/linux.list", listed)
    put("var/lib/dpkg/status", status)
    put("var/lib/pacman/local/linux-6.1-1/files", files)
    put("var/lib/rpm/rpmdb.sqlite", database)
    put(f"var/lib/dkms/hello/kernel-{RELEASE}-x86_64/module/hello.ko", b"")
    wanted = [
        f"/lib/modules/{RELEASE}/kernel/lib/crc7.ko",
        "/lib/modules/x/hello.ko",
        "/usr/lib/modules/a.ko.xz",
        "/lib/modules/\udcff.ko",
    ]
    owners = find_owners(HostTree(scratch()), RELEASE, wanted)
    return owners.packages


def module_directory(data: bytes) -> object:
    """Everything that is read of /lib/modules/RELEASE beside the modules, and /etc/modprobe.d."""
    dependencies, symbols, versions, directives, module = pieces(data, 5)
    base = f"lib/modules/{RELEASE}"
    put(f"{base}/modules.dep", dependencies)
    put(f"{base}/modules.symbols", symbols)
    put(f"{base}/build/Module.symvers", versions)
    put(f"{base}/kernel/a.ko", module)
    put("etc/modprobe.d/a.conf", directives)
    host = HostTree(scratch())
    tree = module_tree(host, RELEASE)
    found = tree.candidates("a"), tree.candidates("crc7"), tree.candidates("../a")
    wanted = SymbolRequest(image=None, running=False, loaded=frozenset({"a"}), wanted=frozenset({"crc7_be", "printk"}))
    return found, gather_symbols(tree, wanted).symbols.exported, stock_module(tree), modprobe_rules(host, ("b",))


def rpm_header(data: bytes) -> object:
    header = parse_rpm_header(data)
    return header.text(1000), header.paths(b"crc7.ko")


def request(data: bytes) -> object:
    """A request that was understood is the same after it is written and read again."""
    read = protocol.parse_request(data)
    assert protocol.parse_request(protocol.encode_request(read)) == read
    return None


def answer(data: bytes) -> object:
    """An answer that was understood is the same after it is written and read again."""
    read = protocol.parse_answer(data)
    assert protocol.parse_answer(protocol.encode_answer(read)) == read
    return None
