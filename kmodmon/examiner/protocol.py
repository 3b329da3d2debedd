"""Messages between the daemon and the examiner process: one request, one answer for each module, one closing answer.

Each is a JSON object on a line of its own. Neither side trusts the other: requests and answers are read strictly.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kmodmon.events.codec import object_from_json, parse_json
from kmodmon.examiner.tree import HostTree
from kmodmon.subjects.module_file import ModuleFile, Stamp
from kmodmon.types.codec import from_json, to_json
from kmodmon.types.error import KmodmonError
from kmodmon.types.units import JsonObject

REQUEST_LIMIT = 16 << 20  # bytes
ANSWER_LIMIT = 2 << 20  # bytes of one line


class ExaminerError(KmodmonError):
    """The examiner process could not be started, refused the request, or wrote something that is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedModule:
    """A loaded module whose file is to be examined. If `known_path` still has `known_stamp`, the answer is `Same`."""

    name: str  # safe text
    srcversion: str | None = None  # of the loaded module; None: /sys/module/NAME has none
    build_id: str | None = None  # of the loaded module, hex; None: it has none, or may not be read
    known_path: str | None = None  # of an earlier answer; None: not examined before
    known_stamp: Stamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamineRequest:
    """Modules to find and examine, or files to examine; paths of files are the host's.

    `rootfs`, `sysfs`, `modules_directory` and `efivars` are paths as the examiner process sees them.
    """

    release: str  # of the kernel, as uname -r prints it
    rootfs: str = "/"
    sysfs: str = "/sys"
    modules_directory: str | None = None  # the host's /lib/modules; None: below `rootfs`
    efivars: str | None = None  # None: firmware/efi/efivars below `sysfs`
    certificates: tuple[str, ...] = ()  # directories of the host with trusted certificates
    revoked: tuple[str, ...] = ()  # directories of the host with revoked certificates
    max_bytes: int = 512 << 20  # of an uncompressed module file
    packages: bool = True  # find the packages that own the files
    kernel: JsonObject | None = None  # `Closing.kernel` of an earlier answer; None: read the kernel image
    image_path: str | None = None  # the kernel image, of the host; None: it was not opened
    image_fd: int | None = None  # its descriptor in the examiner process, which may not open it by itself
    trust: str = ""  # `Closing.trust` of the answers that the known stamps come from
    modules: tuple[WantedModule, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def host(self) -> HostTree:
        """The host's files, as this process sees them."""
        opened = {} if self.image_path is None or self.image_fd is None else {self.image_path: self.image_fd}
        modules = None if self.modules_directory is None else Path(self.modules_directory)
        return HostTree(Path(self.rootfs), modules, MappingProxyType(opened))


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """The file and the certificates are those of the earlier answer; nothing was read."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The last answer. `kernel` and `trust` are for the next request."""

    kernel: JsonObject | None  # `KernelFacts`; None: no kernel image could be read
    trust: str  # digest of all certificates by which signatures were judged
    problems: tuple[str, ...]  # what could not be read, as safe texts


Answer = ModuleFile | Same | Closing


def encode(document: JsonObject) -> bytes:
    """Write a document as one line of ASCII; a lone surrogate (a path that is not UTF-8) becomes its JSON escape."""
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def encode_request(request: ExamineRequest) -> bytes:
    """Write a request as one line."""
    return encode(to_json(request))


def encode_answer(answer: Answer) -> bytes:
    """Write an answer as one line."""
    match answer:
        case ModuleFile():
            return encode({"file": to_json(answer)})
        case Same():
            return encode({"same": answer.name})
        case Closing():
            return encode({"closing": to_json(answer)})


def parse_request(raw: bytes) -> ExamineRequest:
    """Read a request; raises ShapeError."""
    return from_json(ExamineRequest, parse_json(raw, "request"), "request")


def parse_answer(raw: bytes) -> Answer:
    """Read an answer; raises ShapeError."""
    document = object_from_json(parse_json(raw, "answer"), "answer")
    if "file" in document:
        return from_json(ModuleFile, document["file"], "answer.file")
    if "same" in document:
        return Same(name=from_json(str, document["same"], "answer.same"))
    return from_json(Closing, document.get("closing"), "answer.closing")
