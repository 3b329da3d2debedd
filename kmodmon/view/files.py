"""Where a module came from, as API and `kmodmon modules --json` give it: file, signature, package, file there now."""

from kmodmon.state.state import State
from kmodmon.state.trust import Provenance, record_of
from kmodmon.subjects.module_file import ModuleFile
from kmodmon.types.units import JsonObject


def provenance_view(known: Provenance) -> JsonObject:
    """What holds for the loaded module; null for what is not known of it."""
    file = known.file
    package = None if file is None or file.package is None else file.package.to_json()
    return {
        "signature": known.signature.value,
        "signer": known.signer,
        "origin": known.origin.value,
        "differs_from_disk": known.differs,
        "license": None if file is None else file.license,
        "path": None if file is None else file.path,
        "package": package,
    }


def file_view(state: State, known: Provenance, name: str) -> JsonObject:
    """All that was read of the loaded module's file, and of the one that lies there now if that is another one."""
    module = state.inventory.modules[name]
    record = record_of(state, module)
    return {
        "on_disk": None if known.on_disk is None else known.on_disk.value,
        "file": _file(known.file),
        "file_now": None if record is None or record.file == known.file else _file(record.file),
        "writable_entries": list(state.files.writable.get(name, ())),
    }


def _file(file: ModuleFile | None) -> JsonObject | None:
    return None if file is None else {key: value for key, value in file.to_json().items() if key != "trust"}
