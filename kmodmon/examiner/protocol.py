"""What goes between the daemon and the examiner process: one request, one answer a module, one closing answer.

All of it is JSON, one object a line. Neither side believes the other: requests and answers pass typed getters.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kmodmon.events.codec import ShapeError, object_from_json, parse_json, texts_from_json
from kmodmon.subjects.module_file import ModuleFile, Stamp
from kmodmon.subjects.module_file_json import module_file_from_json, stamp_from_json
from kmodmon.types.error import KmodmonError
from kmodmon.types.units import JsonObject, JsonValue

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

    def to_json(self) -> JsonObject:
        """Stable keys."""
        return {
            "name": self.name,
            "srcversion": self.srcversion,
            "build_id": self.build_id,
            "known_path": self.known_path,
            "known_stamp": None if self.known_stamp is None else self.known_stamp.to_json(),
        }


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

    def to_json(self) -> JsonObject:
        """Stable keys."""
        return {
            "release": self.release,
            "rootfs": self.rootfs,
            "sysfs": self.sysfs,
            "modules_directory": self.modules_directory,
            "efivars": self.efivars,
            "certificates": list(self.certificates),
            "revoked": list(self.revoked),
            "max_bytes": self.max_bytes,
            "packages": self.packages,
            "kernel": self.kernel,
            "trust": self.trust,
            "modules": [one.to_json() for one in self.modules],
            "files": list(self.files),
        }


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
    """One line; what is not UTF-8 becomes an escape."""
    return json.dumps(document, separators=(",", ":"), default=_plain).encode("ascii") + b"\n"


def encode_answer(answer: Answer) -> bytes:
    """One line."""
    match answer:
        case ModuleFile():
            return encode({"file": answer.to_json()})
        case Same():
            return encode({"same": answer.name})
        case Closing():
            closing: JsonObject = {"kernel": answer.kernel, "trust": answer.trust, "problems": list(answer.problems)}
            return encode({"closing": closing})


def parse_request(raw: bytes) -> ExamineRequest:
    """Read a request; raises ShapeError."""
    document = object_from_json(parse_json(raw, "request"), "request")
    kernel = document.get("kernel")
    return ExamineRequest(
        release=_text(document, "release"),
        rootfs=_text(document, "rootfs"),
        sysfs=_text(document, "sysfs"),
        modules_directory=_maybe(document, "modules_directory"),
        efivars=_maybe(document, "efivars"),
        certificates=texts_from_json(document.get("certificates"), "request.certificates"),
        revoked=texts_from_json(document.get("revoked"), "request.revoked"),
        max_bytes=_number(document, "max_bytes"),
        packages=document.get("packages") is not False,
        kernel=None if kernel is None else object_from_json(kernel, "request.kernel"),
        trust=_text(document, "trust"),
        modules=tuple(_wanted(item) for item in _array(document.get("modules"), "request.modules")),
        files=texts_from_json(document.get("files"), "request.files"),
    )


def parse_answer(raw: bytes) -> Answer:
    """Read an answer; raises ShapeError."""
    document = object_from_json(parse_json(raw, "answer"), "answer")
    if "file" in document:
        return module_file_from_json(document["file"], "answer.file")
    if "same" in document:
        return Same(name=_text(document, "same"))
    closing = object_from_json(document.get("closing"), "answer.closing")
    kernel = closing.get("kernel")
    return Closing(
        kernel=None if kernel is None else object_from_json(kernel, "answer.closing.kernel"),
        trust=_text(closing, "trust"),
        problems=texts_from_json(closing.get("problems"), "answer.closing.problems"),
    )


def _wanted(value: JsonValue) -> WantedModule:
    document = object_from_json(value, "request.modules")
    return WantedModule(
        name=_text(document, "name"),
        srcversion=_maybe(document, "srcversion"),
        build_id=_maybe(document, "build_id"),
        known_path=_maybe(document, "known_path"),
        known_stamp=stamp_from_json(document.get("known_stamp"), "request.modules.known_stamp"),
    )


def _plain(value: object) -> dict[str, JsonValue]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _array(value: JsonValue, path: str) -> Sequence[JsonValue]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    raise ShapeError(path, "an array")


def _text(document: JsonObject, name: str) -> str:
    value = _maybe(document, name)
    if value is None:
        raise ShapeError(name, "a text")
    return value


def _maybe(document: JsonObject, name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise ShapeError(name, "a text or null")
    return value


def _number(document: JsonObject, name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ShapeError(name, "a whole number")
    return value
