"""A `ModuleFile` back from JSON, as the examiner process writes it; the inverse of its `to_json`.

The examiner reads hostile files, so what it says is checked like any foreign JSON: by typed getters that raise
`ShapeError`.
"""

from collections.abc import Sequence

from kmodmon.events.codec import ShapeError, object_from_json, texts_from_json
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.subjects.module_file import Keyring, ModuleFile, Package, ParameterFacts, SignatureFacts, Stamp, TreeOrigin
from kmodmon.types.units import JsonObject, JsonValue


def module_file_from_json(value: JsonValue, path: str = "file") -> ModuleFile:
    """Undo `ModuleFile.to_json`; raises ShapeError."""
    document = object_from_json(value, path)
    return ModuleFile(
        name=_required(document, "name", path),
        path=_text(document, "path", path),
        origin=_origin(document, path),
        compression=_text(document, "compression", path),
        stamp=stamp_from_json(document.get("stamp"), f"{path}.stamp"),
        image_bytes=_number(document, "image_bytes", path),
        sha256=_text(document, "sha256", path),
        license=_text(document, "license", path),
        version=_text(document, "version", path),
        srcversion=_text(document, "srcversion", path),
        vermagic=_text(document, "vermagic", path),
        description=_text(document, "description", path),
        authors=texts_from_json(document.get("authors"), f"{path}.authors"),
        depends=texts_from_json(document.get("depends"), f"{path}.depends"),
        import_ns=texts_from_json(document.get("import_ns"), f"{path}.import_ns"),
        flags=texts_from_json(document.get("flags"), f"{path}.flags"),
        parameters=_parameters(document.get("parameters"), f"{path}.parameters"),
        build_id=_text(document, "build_id", path),
        signature=_signature(object_from_json(document.get("signature"), f"{path}.signature"), f"{path}.signature"),
        package=_package(document.get("package"), f"{path}.package"),
        problem=_text(document, "problem", path),
        trust=_required(document, "trust", path),
    )


def stamp_from_json(value: JsonValue, path: str) -> Stamp | None:
    """Undo `Stamp.to_json`; None for null; raises ShapeError."""
    if value is None:
        return None
    document = object_from_json(value, path)
    return Stamp(
        device=_whole(document, "device", path),
        inode=_whole(document, "inode", path),
        size=_whole(document, "size", path),
        mtime_nsec=_whole(document, "mtime_nsec", path),
        ctime_nsec=_whole(document, "ctime_nsec", path),
    )


def _signature(document: JsonObject, path: str) -> SignatureFacts:
    keyring = _text(document, "keyring", path)
    revoked = document.get("revoked")
    if not isinstance(revoked, bool):
        raise ShapeError(f"{path}.revoked", "true or false")
    try:
        verdict = SignatureStatus(_required(document, "verdict", path))
        ring = None if keyring is None else Keyring(keyring)
    except ValueError:
        raise ShapeError(path, "a verdict and a keyring that this version knows") from None
    return SignatureFacts(
        verdict=verdict,
        reason=_required(document, "reason", path),
        errno=_text(document, "errno", path),
        log=_text(document, "log", path),
        form=_text(document, "form", path),
        signer=_text(document, "signer", path),
        key=_text(document, "key", path),
        digest=_text(document, "digest", path),
        algorithm=_text(document, "algorithm", path),
        certificate=_text(document, "certificate", path),
        fingerprint=_text(document, "fingerprint", path),
        keyring=ring,
        revoked=revoked,
    )


def _package(value: JsonValue, path: str) -> Package | None:
    if value is None:
        return None
    document = object_from_json(value, path)
    return Package(
        manager=_required(document, "manager", path),
        name=_required(document, "name", path),
        version=_text(document, "version", path),
    )


def _parameters(value: JsonValue, path: str) -> tuple[ParameterFacts, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ShapeError(path, "an array")
    return tuple(_parameter(object_from_json(item, path), path) for item in value)


def _parameter(document: JsonObject, path: str) -> ParameterFacts:
    return ParameterFacts(
        name=_required(document, "name", path),
        type=_text(document, "type", path),
        description=_text(document, "description", path),
    )


def _origin(document: JsonObject, path: str) -> TreeOrigin:
    try:
        return TreeOrigin(_required(document, "origin", path))
    except ValueError:
        raise ShapeError(f"{path}.origin", "a place that this version knows") from None


def _text(document: JsonObject, name: str, path: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise ShapeError(f"{path}.{name}", "a text or null")
    return value


def _required(document: JsonObject, name: str, path: str) -> str:
    value = _text(document, name, path)
    if value is None:
        raise ShapeError(f"{path}.{name}", "a text")
    return value


def _number(document: JsonObject, name: str, path: str) -> int | None:
    value = document.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise ShapeError(f"{path}.{name}", "a whole number or null")
    return value


def _whole(document: JsonObject, name: str, path: str) -> int:
    value = _number(document, name, path)
    if value is None:
        raise ShapeError(f"{path}.{name}", "a whole number")
    return value
