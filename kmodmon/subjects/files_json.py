"""The files of the loaded modules as a checkpoint.

After a restart kmodmon compares the records with the files on disk, and so reports a file that was replaced while it
was not running. Commands show the records without examining files. Descriptions, parameters and other members that
are not compared are left out. An entry of another shape is dropped, and its module is examined again.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.subjects.files import UNREAD_FILES, FileRecord, FilesState
from kmodmon.subjects.module_file import ModuleFile
from kmodmon.types.codec import entries_from_json, members_from_json, to_json, value_or_none
from kmodmon.types.units import JsonObject, JsonValue


def files_to_json(files: FilesState) -> JsonObject:
    """Write the records and the installed kernels; `expected` and `problems` belong to this run only."""
    document = to_json(files, without=("records", "expected", "problems"))
    return {**document, "records": {name: _record_to_json(record) for name, record in files.records.items()}}


def files_from_json(document: JsonObject) -> FilesState:
    """Undo :func:`files_to_json`."""
    rows, releases = document.get("records"), document.get("releases")
    records = {name: _record(row) for name, row in rows.items()} if isinstance(rows, Mapping) else {}
    return replace(
        UNREAD_FILES,
        records=MappingProxyType({name: record for name, record in records.items() if record is not None}),
        releases=None if releases is None else entries_from_json(str, releases),
        newer=entries_from_json(str, document.get("newer")),
        writable=members_from_json(tuple[str, ...], document.get("writable")),
    )


def _record_to_json(record: FileRecord) -> JsonObject:
    if record.own == record.file:
        return {**to_json(replace(record, file=_slim(record.file), own=None)), "own": True}
    own = None if record.own is None else _slim(record.own)
    return to_json(replace(record, file=_slim(record.file), own=own))


def _record(row: JsonValue) -> FileRecord | None:
    same = isinstance(row, Mapping) and row.get("own") is True
    document = {**row, "own": None} if isinstance(row, Mapping) and same else row
    record = value_or_none(FileRecord, document)
    # `own` and `file` are one object, which saves memory
    return replace(record, own=record.file) if same and record is not None else record


def _slim(file: ModuleFile) -> ModuleFile:
    return replace(file, description=None, authors=(), depends=(), import_ns=(), parameters=(), flags=(), vermagic=None)
