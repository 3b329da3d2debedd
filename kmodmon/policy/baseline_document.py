"""The baseline file: TOML that `kmodmon baseline` writes and people review, one line a module, everything sorted.

    [meta]                            # who signed it off last, when, and why
    [kernel]
    release = "6.1.0-18-amd64"        # a glob; srcversions are compared only when the release is exactly this one
    [modules]
    ext4 = { origin = "kernel", signer = "…", srcversion = "…" }
    usb_storage = { origin = "kernel", optional = true }    # it need not be loaded
    [parameters]
    "kvm_intel.nested" = "Y"
    [posture]
    lockdown = "integrity"
    [taint]
    expected = "O"                    # letters that may be set

    [[host]]                          # for hosts with such a name; overrides what is above
    match = ["db-*"]
    [host.modules]
    nvme = { optional = true }
    floppy = { absent = true }        # here it is not expected

What a part leaves out is not compared with the host, except modules: those that no part names are unexpected.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

from kmodmon.config.document import Section
from kmodmon.config.toml_document import parse_toml
from kmodmon.config.values import is_integer
from kmodmon.kernel.module_name import kernel_name
from kmodmon.subjects.baseline import Baseline, Meta, SignedModule

VERSION = 1
_MAX_ACCEPTED = 50
_META = ("author", "date", "host", "kmodmon", "reason")
_LETTERS = r"[A-Za-z?]{0,64}"
_TEXTS = ("origin", "signer", "srcversion", "build_id")
_PART = ("kernel", "modules", "parameters", "posture", "taint")
_HEAD = """The state of this host that was signed off; kmodmon tells what differs (kmodmon baseline diff).
Written by kmodmon baseline; edit it freely, it is read again when it changes. Comments are lost when it is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePart:
    """One part of the document. None as a module: it is not expected there; as `kernel` or `taint`: not stated."""

    kernel: str | None = None
    modules: Mapping[str, SignedModule | None] = field(default_factory=lambda: MappingProxyType({}))
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    posture: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    taint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPart:
    """A part for hosts whose name matches one of the globs."""

    match: tuple[str, ...]
    part: BaselinePart

    def applies_to(self, host: str) -> bool:
        """Tell whether a glob matches the host's full name or its first label."""
        names = (host, host.partition(".")[0])
        return any(fnmatchcase(name, glob) for glob in self.match for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An earlier sign-off: by whom and why, and the differences that it accepted, one sentence each."""

    meta: Meta
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineDocument:
    """The whole file."""

    meta: Meta = field(default_factory=Meta)
    base: BaselinePart = BaselinePart()
    hosts: tuple[HostPart, ...] = ()
    accepted: tuple[Accepted, ...] = ()

    def for_host(self, host: str) -> Baseline:
        """Give the baseline of one host: the common part, overridden by each part for this host, in order."""
        kernel, taint = self.base.kernel, self.base.taint
        modules, parameters, posture = dict(self.base.modules), dict(self.base.parameters), dict(self.base.posture)
        for part in (entry.part for entry in self.hosts if entry.applies_to(host)):
            kernel = kernel if part.kernel is None else part.kernel
            taint = taint if part.taint is None else part.taint
            modules.update(part.modules)
            parameters.update(part.parameters)
            posture.update(part.posture)
        return Baseline(
            meta=self.meta,
            kernel=kernel,
            modules=MappingProxyType({name: module for name, module in sorted(modules.items()) if module is not None}),
            parameters=MappingProxyType(parameters),
            posture=MappingProxyType(posture),
            taint=taint,
        )


def parse_baseline(raw: bytes, file: str) -> BaselineDocument:
    """Give the document of a file's bytes; `file` is its name in errors. Raises ConfigError."""
    document = parse_toml(raw, file)
    document.only(("version", "meta", *_PART, "host", "accepted"))
    document.version(VERSION)
    return BaselineDocument(
        meta=_meta(document.section("meta")),
        base=_part(document),
        hosts=tuple(_host(section) for section in document.sections("host")),
        accepted=tuple(_accepted(section) for section in document.sections("accepted")),
    )


def _meta(section: Section, *, more: tuple[str, ...] = ()) -> Meta:
    section.only((*_META, *more))
    return Meta(**{key: section.text(key, "") for key in _META})


def _accepted(section: Section) -> Accepted:
    return Accepted(meta=_meta(section, more=("changes",)), changes=section.texts("changes"))


def _host(section: Section) -> HostPart:
    section.only(("match", *_PART))
    match = section.texts("match")
    if not match:
        raise section.error("match", "is missing", 'write match = "NAME*"')
    return HostPart(match=match, part=_part(section))


def _part(section: Section) -> BaselinePart:
    kernel, taint, modules = section.section("kernel"), section.section("taint"), section.section("modules")
    kernel.only(("release",))
    taint.only(("expected",))
    return BaselinePart(
        kernel=kernel.optional_text("release"),
        modules=MappingProxyType({kernel_name(name): _module(modules.section(name)) for name in modules.values}),
        parameters=_texts(section.section("parameters")),
        posture=_texts(section.section("posture")),
        taint=taint.optional_text("expected", pattern=_LETTERS, what="a text of taint letters"),
    )


def _module(section: Section) -> SignedModule | None:
    section.only((*_TEXTS, "optional", "absent"))
    if section.flag("absent", False):
        return None
    texts = {key: section.optional_text(key) for key in _TEXTS}
    return SignedModule(**texts, optional=section.flag("optional", False))


def _texts(section: Section) -> Mapping[str, str]:
    """Give texts by key; a whole number counts as its text."""
    values = section.values.items()
    return MappingProxyType({key: str(value) if is_integer(value) else section.text(key) for key, value in values})


def baseline_toml(document: BaselineDocument) -> str:
    """Give the file, from which `parse_baseline` gives the same document."""
    from kmodmon.config.toml_writer import comment, list_on_lines, table  # reading needs no writer

    lines = [*comment(_HEAD), f"version = {VERSION}", "", *table("[meta]", _meta_values(document.meta))]
    for name, values in _tables(document.base):
        lines += ("", *table(f"[{name}]", values))
    for host in document.hosts:
        lines += ("", *table("[[host]]", {"match": host.match}))
        for name, values in _tables(host.part):
            lines += ("", *table(f"[host.{name}]", values))
    for accepted in document.accepted[-_MAX_ACCEPTED:]:
        lines += ("", *table("[[accepted]]", _meta_values(accepted.meta)))
        lines += list_on_lines("changes", accepted.changes) if accepted.changes else ()
    return "\n".join(lines) + "\n"


def _meta_values(meta: Meta) -> Mapping[str, str]:
    values: Iterator[tuple[str, str]] = ((key, getattr(meta, key)) for key in _META)
    return {key: value for key, value in values if value}


def _tables(part: BaselinePart) -> Iterator[tuple[str, Mapping[str, object]]]:
    if part.kernel is not None:
        yield "kernel", {"release": part.kernel}
    if part.modules:
        yield "modules", {name: _module_values(module) for name, module in sorted(part.modules.items())}
    if part.parameters:
        yield "parameters", dict(sorted(part.parameters.items()))
    if part.posture:
        yield "posture", dict(sorted(part.posture.items()))
    if part.taint is not None:
        yield "taint", {"expected": part.taint}


def _module_values(module: SignedModule | None) -> Mapping[str, object]:
    if module is None:
        return {"absent": True}
    texts = {key: value for key in _TEXTS if (value := getattr(module, key)) is not None}
    return texts | ({"optional": True} if module.optional else {})
