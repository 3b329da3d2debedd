"""The baseline file: TOML that `kmodmon baseline` writes and people review, one line a module, everything sorted.

    [meta]                            # who signed it off last, when, and why
    [kernel]
    release = "6.1.0-18-amd64"        # a glob; srcversions are only held against the very kernel that is named
    [modules]
    ext4 = { origin = "kernel", signer = "…", srcversion = "…" }
    usb_storage = { origin = "kernel", optional = true }    # it need not be loaded
    [parameters]
    "kvm_intel.nested" = "Y"
    [posture]
    lockdown = "integrity"
    [taint]
    expected = "O"                    # letters that may be set

    [[host]]                          # for hosts of such a name, over what stands above
    match = ["db-*"]
    [host.modules]
    nvme = { optional = true }
    floppy = { absent = true }        # here it is not expected

What a part leaves out is not held against the host, except modules: those that no part names are unexpected.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

from kmodmon.config.toml_table import TomlTable, key_of, parse, quoted
from kmodmon.kernel.module_name import kernel_name
from kmodmon.subjects.baseline import Baseline, Meta, SignedModule

VERSION = 1
_MOST_ACCEPTED = 50
_META = ("author", "date", "host", "kmodmon", "reason")
_PART = ("kernel", "modules", "parameters", "posture", "taint")
_HEAD = """The state of this host that was signed off; kmodmon tells what differs (kmodmon baseline diff).
Written by kmodmon baseline; edit it freely, it is read again when it changes. Comments are lost when it is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePart:
    """What one part of the document says; a module that is None is not expected there."""

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

    def is_for(self, host: str) -> bool:
        """Whether it is for this host, by its full name or the first label of it."""
        names = (host, host.partition(".")[0])
        return any(fnmatchcase(name, glob) for glob in self.match for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An earlier signature, and what it signed off."""

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
        """The baseline of one host: the common part, then every part that is for it, the later over the earlier."""
        kernel, taint = self.base.kernel, self.base.taint
        modules, parameters, posture = dict(self.base.modules), dict(self.base.parameters), dict(self.base.posture)
        for one in self.hosts:
            if one.is_for(host):
                kernel = kernel if one.part.kernel is None else one.part.kernel
                taint = taint if one.part.taint is None else one.part.taint
                modules.update(one.part.modules)
                parameters.update(one.part.parameters)
                posture.update(one.part.posture)
        return Baseline(
            meta=self.meta,
            kernel=kernel,
            modules=MappingProxyType({name: one for name, one in sorted(modules.items()) if one is not None}),
            parameters=MappingProxyType(parameters),
            posture=MappingProxyType(posture),
            taint=taint,
        )


def parse_baseline(raw: bytes, file: str) -> BaselineDocument:
    """Read a baseline file's bytes; `file` is for errors. Raises ConfigError."""
    table = parse(raw, file)
    table.only(("version", "meta", *_PART, "host", "accepted"))
    if table.values.get("version", VERSION) != VERSION:
        table.refuse("version", f"wants {VERSION}", "a newer kmodmon may know it")
    hosts = []
    for entry in table.tables_of("host"):
        entry.only(("match", *_PART))
        match = entry.texts_of("match")
        if not match:
            entry.refuse("match", "is missing", 'write match = "NAME*"')
        hosts.append(HostPart(match=match, part=_part(entry)))
    return BaselineDocument(
        meta=_meta(table.table_of("meta")),
        base=_part(table),
        hosts=tuple(hosts),
        accepted=tuple(_accepted(entry) for entry in table.tables_of("accepted")),
    )


def _meta(table: TomlTable, *, more: tuple[str, ...] = ()) -> Meta:
    table.only((*_META, *more))
    return Meta(**{key: table.text_of(key, "") for key in _META})


def _accepted(table: TomlTable) -> Accepted:
    return Accepted(meta=_meta(table, more=("changes",)), changes=table.texts_of("changes"))


def _part(table: TomlTable) -> BaselinePart:
    kernel, taint = table.table_of("kernel"), table.table_of("taint")
    kernel.only(("release",))
    taint.only(("expected",))
    modules = table.table_of("modules")
    return BaselinePart(
        kernel=kernel.text_of("release") if "release" in kernel.values else None,
        modules=MappingProxyType({kernel_name(name): _module(modules.table_of(name)) for name in modules.values}),
        parameters=_texts(table.table_of("parameters")),
        posture=_texts(table.table_of("posture")),
        taint=taint.text_of("expected", pattern=r"[A-Za-z?]{0,64}", what="a text of taint letters")
        if "expected" in taint.values
        else None,
    )


def _module(table: TomlTable) -> SignedModule | None:
    table.only(("srcversion", "build_id", "signer", "origin", "optional", "absent"))
    if table.truth_of("absent", False):
        return None
    return SignedModule(
        srcversion=_optional(table, "srcversion"),
        build_id=_optional(table, "build_id"),
        signer=_optional(table, "signer"),
        origin=_optional(table, "origin"),
        optional=table.truth_of("optional", False),
    )


def _optional(table: TomlTable, key: str) -> str | None:
    return table.text_of(key) if key in table.values else None


def _texts(table: TomlTable) -> Mapping[str, str]:
    """Texts by key; a whole number is as good as its text."""
    found: dict[str, str] = {}
    for key, value in table.values.items():
        is_number = isinstance(value, int) and not isinstance(value, bool)
        found[key] = str(value) if is_number else table.text_of(key)
    return MappingProxyType(found)


def baseline_toml(document: BaselineDocument) -> str:
    """The file; `parse_baseline` gives the same document back."""
    lines = [f"# {line}" for line in _HEAD.splitlines()]
    lines += [f"version = {VERSION}", "", "[meta]", *_meta_lines(document.meta)]
    lines += _part_lines(document.base)
    for one in document.hosts:
        match = ", ".join(map(quoted, one.match))
        lines += ["", "[[host]]", f"match = [{match}]", *_part_lines(one.part, "host.")]
    for accepted in document.accepted[-_MOST_ACCEPTED:]:
        lines += ["", "[[accepted]]", *_meta_lines(accepted.meta)]
        if accepted.changes:
            lines += ["changes = [", *(f"    {quoted(change)}," for change in accepted.changes), "]"]
    return "\n".join(lines) + "\n"


def _meta_lines(meta: Meta) -> Iterator[str]:
    for key in _META:
        if value := getattr(meta, key):
            yield f"{key} = {quoted(value)}"


def _part_lines(part: BaselinePart, above: str = "") -> Iterator[str]:
    if part.kernel is not None:
        yield from ("", f"[{above}kernel]", f"release = {quoted(part.kernel)}")
    if part.modules:
        yield from ("", f"[{above}modules]")
        yield from (f"{key_of(name)} = {_module_text(part.modules[name])}" for name in sorted(part.modules))
    for key, values in (("parameters", part.parameters), ("posture", part.posture)):
        if values:
            yield from ("", f"[{above}{key}]")
            yield from (f"{key_of(name)} = {quoted(values[name])}" for name in sorted(values))
    if part.taint is not None:
        yield from ("", f"[{above}taint]", f"expected = {quoted(part.taint)}")


def _module_text(module: SignedModule | None) -> str:
    if module is None:
        return "{ absent = true }"
    said: Iterable[tuple[str, str | None]] = (
        ("origin", module.origin),
        ("signer", module.signer),
        ("srcversion", module.srcversion),
        ("build_id", module.build_id),
    )
    parts = [f"{key} = {quoted(value)}" for key, value in said if value is not None]
    parts += ["optional = true"] if module.optional else []
    return "{ " + ", ".join(parts) + " }" if parts else "{}"
