"""The files of loaded modules as a checkpoint: JSON, and back.

A run that starts anew knows from it which module's file was replaced before it looked, and a command need not examine
what the daemon has examined. Descriptions are left out: they are read again. Entries of another shape are dropped.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.codec import ShapeError, number_or_none
from kmodmon.subjects.files import UNREAD_FILES, FileRecord, FilesState, Origin
from kmodmon.subjects.module_file import ModuleFile, OnDisk
from kmodmon.subjects.module_file_json import module_file_from_json
from kmodmon.types.units import JsonObject, JsonValue


def files_to_json(files: FilesState) -> JsonObject:
    """What is to be remembered."""
    return {
        "records": {name: _record_to_json(one) for name, one in files.records.items()},
        "releases": None if files.releases is None else list(files.releases),
        "newer": list(files.newer),
        "writable": {name: list(paths) for name, paths in files.writable.items()},
    }


def files_from_json(document: JsonObject) -> FilesState:
    """Undo :func:`files_to_json`; that files are examined again is not said by it."""
    records = document.get("records")
    rows = records.items() if isinstance(records, Mapping) else ()
    releases, writable = document.get("releases"), document.get("writable")
    paths = writable.items() if isinstance(writable, Mapping) else ()
    return replace(
        UNREAD_FILES,
        records=MappingProxyType({name: one for name, row in rows if (one := _record(row)) is not None}),
        releases=None if releases is None else _texts(releases),
        newer=_texts(document.get("newer")),
        writable=MappingProxyType({name: _texts(found) for name, found in paths}),
    )


def _record_to_json(record: FileRecord) -> JsonObject:
    own: JsonValue = None if record.own is None else True
    if record.own is not None and record.own != record.file:
        own = _slim(record.own).to_json()
    return {
        "instance": record.instance,
        "file": _slim(record.file).to_json(),
        "own": own,  # true: the same
        "on_disk": record.on_disk.value,
        "origin": record.origin.value,
    }


def _slim(file: ModuleFile) -> ModuleFile:
    return replace(file, description=None, authors=(), depends=(), import_ns=(), parameters=(), flags=(), vermagic=None)


def _record(value: JsonValue) -> FileRecord | None:
    if not isinstance(value, Mapping):
        return None
    try:
        file = module_file_from_json(value.get("file"))
        own = value.get("own")
        return FileRecord(
            instance=number_or_none(value.get("instance")),
            file=file,
            own=None if own is None else file if own is True else module_file_from_json(own, "own"),
            on_disk=OnDisk(str(value.get("on_disk"))),
            origin=Origin(str(value.get("origin"))),
        )
    except (ShapeError, ValueError):
        return None


def _texts(value: JsonValue) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list | tuple) else ()
