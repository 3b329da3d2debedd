"""What only the kernel image holds: the certificates it trusts, its build-id, its version string, its exports.

The certificate that the modules of a stock Debian kernel are signed with exists nowhere else: its key is generated for
one build and discarded. The image is decompressed as a stream, and only these parts are kept. The decompressor needs a
window as large as the kernel (60 to 130 MiB). This is the only step that takes much memory; it runs once for each
installed kernel, in a process that ends afterwards.
"""

import os
import re
from dataclasses import dataclass

from kmodmon.examiner.decompress import CHUNK, KERNEL_FORMS, KERNEL_WINDOW_LOG
from kmodmon.examiner.image import Image, ImageLimits
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.kernel.note import build_id
from kmodmon.modfile.boot_image import HEAD_BYTES, candidates, find_payload
from kmodmon.modfile.builtin_certificates import OVERLAP, CertificateList, Role, find_lists
from kmodmon.modfile.elf import ElfFile, ElfSection, parse_elf, section_bytes
from kmodmon.modfile.ksymtab import Export, kernel_exports
from kmodmon.modfile.loader_elf import PROBES
from kmodmon.modfile.x509 import Certificate
from kmodmon.subjects.module_file import Stamp
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_LIMITS = ImageLimits(max_bytes=512 << 20, window_log=KERNEL_WINDOW_LOG, alone=False, forms=KERNEL_FORMS)
_PLAIN_BYTES = 64 << 20  # how much of an image of unknown form is searched for compressed data
_MAGIC_WORDS = rb"(?:SMP|preempt|preempt_rt|mod_unload|modversions|aarch64|RANDSTRUCT_[0-9a-f]+|[A-Za-z0-9_.]+)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelImage:
    """What one kernel image holds; None: not found in it."""

    path: str
    stamp: Stamp
    trusted: tuple[Certificate, ...] = ()
    revoked: tuple[Certificate, ...] = ()
    build_id: str | None = None
    vermagic: str | None = None
    rules: frozenset[str] = frozenset()  # checks and messages of its module loader (modfile.loader_elf.PROBES)
    exports: tuple[Export, ...] | None = None  # None also when they were not asked for


def read_kernel_image(host: HostTree, path: str, release: str, *, exports: bool = False) -> KernelImage:
    """Read a kernel image, with its exports if asked for; raises FileError."""
    scan = _Scan(release.encode())
    with _open(host, path, scan) as image:
        scan.end()
        elf = _elf(image)
        wanted = _sections(elf, exports=exports)
        image.prefetch([(section.offset, section.size) for section in wanted])
        return KernelImage(
            path=path,
            stamp=image.stamp,
            trusted=scan.certificates(Role.TRUSTED),
            revoked=scan.certificates(Role.REVOKED),
            build_id=_build_id(elf, image),
            vermagic=scan.vermagic,
            rules=frozenset(scan.rules),
            exports=_exports(elf, image) if exports else None,
        )


class _Scan:
    """Searches an uncompressed kernel, fed in chunks, in overlapping windows."""

    def __init__(self, release: bytes) -> None:
        self.lists: list[CertificateList] = []
        self.vermagic: str | None = None
        self.rules: set[str] = set()
        self._pattern = re.compile(rb"\x00(" + re.escape(release) + rb" (?:" + _MAGIC_WORDS + rb" )*)\x00")
        self._kept = b""
        self._base = 0

    def start(self) -> None:
        """Discard all results: another stream begins."""
        self.lists, self.vermagic, self.rules, self._kept, self._base = [], None, set(), b"", 0

    def feed(self, chunk: bytes) -> None:
        """Add the next chunk; the window is searched whenever it is full."""
        self._kept += chunk
        if len(self._kept) >= OVERLAP + 4 * CHUNK:
            self._scan_window(last=False)
            self._base += len(self._kept) - OVERLAP
            self._kept = self._kept[-OVERLAP:]

    def end(self) -> None:
        """Search the rest at the end of the stream."""
        self._scan_window(last=True)
        self._kept = b""

    def certificates(self, role: Role) -> tuple[Certificate, ...]:
        """Certificates of every list with this role."""
        return tuple(certificate for group in self.lists if group.role is role for certificate in group.certificates)

    def _scan_window(self, *, last: bool) -> None:
        self.lists += find_lists(self._kept, self._base, last=last)
        self.rules |= {name for name, text in PROBES.items() if name not in self.rules and text in self._kept}
        if self.vermagic is None and (match := self._pattern.search(self._kept)):
            self.vermagic = safe_text(match[1])


def _open(host: HostTree, path: str, scan: _Scan) -> Image:
    fd = host.open(path)
    try:
        payload = find_payload(os.pread(fd, HEAD_BYTES, 0))
    except (OSError, ParseError) as error:
        os.close(fd)
        raise FileError(f"{path}: {error}") from error
    image = Image(fd, path, _LIMITS, part=(payload.offset, payload.length), tap=scan.feed)
    if image.compression is not None:
        return image
    if payload.form == "plain" and image.read(0, 4) != b"\x7fELF":
        image = _compressed_part(host, path, image, scan)
    if image.compression is None:
        for chunk in image.chunks():
            scan.feed(chunk)
    return image


def _compressed_part(host: HostTree, path: str, plain: Image, scan: _Scan) -> Image:
    """Open the first stream in an image of unknown form that expands to more than the image; else the image itself."""
    for offset in candidates(plain.read(0, _PLAIN_BYTES)):
        scan.start()
        try:
            image = Image(host.open(path), path, _LIMITS, part=(offset, None), tap=scan.feed)
        except FileError:
            continue
        if image.size > plain.size:
            plain.__exit__(None, None, None)
            return image
        image.__exit__(None, None, None)
    scan.start()
    return plain


def _elf(image: Image) -> ElfFile | None:
    try:
        return parse_elf(image.read, image.size)
    except ParseError:
        return None  # a raw image, such as arm64's: certificates are found all the same


def _sections(elf: ElfFile | None, *, exports: bool) -> list[ElfSection]:
    if elf is None:
        return []
    return [
        section
        for section in elf.sections
        if section.name == b".notes" or (exports and section.name.startswith(b"__k"))
    ]


def _build_id(elf: ElfFile | None, image: Image) -> str | None:
    notes = None if elf is None else elf.find(b".notes")
    if elf is None or notes is None:
        return None
    try:
        return build_id(section_bytes(elf, image.read, notes), elf.header.order)
    except ParseError:
        return None


def _exports(elf: ElfFile | None, image: Image) -> tuple[Export, ...] | None:
    if elf is None:
        return None
    try:
        return kernel_exports(elf, image.read)
    except ParseError:
        return None
