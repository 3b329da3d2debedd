"""Where a module came from: its file, signature and package, and the file of its name that is on disk now."""

from kmodmon.state.state import State
from kmodmon.state.trust import Provenance, record_of
from kmodmon.subjects.module_file import ModuleFile
from kmodmon.types.units import JsonObject


def provenance_view(provenance: Provenance) -> JsonObject:
    """What is known of the loaded module, in the list of modules."""
    file = provenance.file
    package = None if file is None or file.package is None else file.package.to_json()
    return {
        "signature": provenance.signature.value,
        "signer": provenance.signer,
        "origin": provenance.origin.value,
        "differs_from_disk": provenance.differs,
        "license": None if file is None else file.license,
        "path": None if file is None else file.path,
        "package": package,
    }


def file_view(state: State, provenance: Provenance, name: str) -> JsonObject:
    """Everything that was read of the loaded module's file, and of the file on disk now if that is another one."""
    module = state.inventory.modules[name]
    record = record_of(state, module)
    return {
        "on_disk": None if provenance.on_disk is None else provenance.on_disk.value,
        "file": _file(provenance.file),
        "file_now": None if record is None or record.file == provenance.file else _file(record.file),
        "writable_entries": list(state.files.writable.get(name, ())),
    }


def _file(file: ModuleFile | None) -> JsonObject | None:
    return None if file is None else {key: value for key, value in file.to_json().items() if key != "trust"}
