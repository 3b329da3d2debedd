"""What goes between the daemon and the examiner process: one request, one answer a module, one closing answer.

All of it is JSON, one object a line. Neither side believes the other: requests and answers pass typed getters.
"""

import json
from dataclasses import dataclass

from kmodmon.events.codec import object_from_json, parse_json
from kmodmon.subjects.module_file import ModuleFile, Stamp
from kmodmon.types.codec import from_json, to_json
from kmodmon.types.error import KmodmonError
from kmodmon.types.units import JsonObject

REQUEST_LIMIT = 16 << 20  # bytes
ANSWER_LIMIT = 2 << 20  # bytes of one line


class ExaminerError(KmodmonError):
    """The examiner process could not be started, took too long, or said something else than an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedModule:
    """A loaded module whose file is wanted. `known`: what an earlier answer said, if it shall only say "the same"."""

    name: str
    srcversion: str | None = None
    build_id: str | None = None
    known_path: str | None = None
    known_stamp: Stamp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamineRequest:
    """Modules to find and examine, or files to examine; paths of files are the host's.

    `rootfs` and `sysfs` are where the process finds them; `modules_directory` and `efivars` too, if they are elsewhere.
    `kernel` and `trust` come from an earlier closing answer:
    what was learnt from the kernel image, and the certificates with which the known files were judged.
    """

    release: str
    rootfs: str = "/"
    sysfs: str = "/sys"
    modules_directory: str | None = None  # what the host's /lib/modules is
    efivars: str | None = None
    certificates: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    max_bytes: int = 512 << 20
    packages: bool = True
    kernel: JsonObject | None = None
    trust: str = ""
    modules: tuple[WantedModule, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """The file of this module is the one known, and the certificates are the same: nothing was read."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The last answer. `kernel` and `trust` are for the next request."""

    kernel: JsonObject | None
    trust: str
    problems: tuple[str, ...]


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
