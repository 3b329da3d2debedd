"""Where a loaded module came from, and the file that is there now."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.state.state import State
from kmodmon.state.trust import Provenance, provenance_of
from kmodmon.subjects.files import FileRecord, FilesState, Origin
from kmodmon.subjects.module_file import ModuleFile, OnDisk, Package, SignatureFacts, TreeOrigin
from kmodmon.view.files import file_view, provenance_view
from tests.view.recorded import in_order, recorded

FILE = ModuleFile(
    name="bridge",
    path="/lib/modules/6.12/updates/dkms/bridge.ko.xz",
    origin=TreeOrigin.DKMS,
    compression="xz",
    image_bytes=400_000,
    license="GPL",
    build_id="05",
    signature=SignatureFacts(verdict=SignatureStatus.SIGNED, reason="no certificate", signer="DKMS key"),
    package=Package(manager="dkms", name="bridge-extra", version="1.2"),
    trust="digest of certificates",
)
OTHER_FILE = replace(FILE, build_id="06", license="Proprietary")
FILE_KEYS = [
    "name", "path", "origin", "compression", "stamp", "image_bytes", "sha256", "license", "version", "srcversion",
    "vermagic", "description", "authors", "depends", "import_ns", "flags", "parameters", "build_id", "signature",
    "package", "problem",
]  # fmt: skip


def with_record(file_now: ModuleFile, loaded: ModuleFile | None, on_disk: OnDisk) -> State:
    state = recorded()
    instance = state.inventory.modules["bridge"].attributes.instance
    record = FileRecord(instance=instance, file=file_now, own=loaded, on_disk=on_disk, origin=Origin.DKMS)
    files = FilesState(
        records=MappingProxyType({"bridge": record}),
        writable=MappingProxyType({"bridge": ("/proc/bridge", "/sys/module/bridge/x"), "stp": ("/proc/stp",)}),
    )
    return replace(state, files=files)


def test_provenance_when_everything_is_known_then_each_key_has_its_own_value() -> None:
    state = with_record(FILE, FILE, OnDisk.SAME)
    assert in_order(provenance_view(provenance_of(state, state.inventory.modules["bridge"]))) == in_order({
        "signature": "valid", "signer": "DKMS key", "origin": "dkms", "differs_from_disk": False, "license": "GPL",
        "path": "/lib/modules/6.12/updates/dkms/bridge.ko.xz",
        "package": {"manager": "dkms", "name": "bridge-extra", "version": "1.2"},
    })  # fmt: skip


def test_provenance_when_no_file_was_examined_then_its_facts_are_null() -> None:
    assert in_order(
        provenance_view(Provenance(signature=SignatureStatus.UNKNOWN, origin=Origin.MEMORY))
    ) == in_order({
        "signature": "unknown", "signer": None, "origin": "memory", "differs_from_disk": None, "license": None,
        "path": None, "package": None,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("on_disk", "differs"),
    [
        (OnDisk.SAME, False), (OnDisk.REPLACED, True), (OnDisk.ELSEWHERE, True), (OnDisk.DELETED, None),
        (OnDisk.UNKNOWN, None), (None, None),
    ],
)  # fmt: skip
def test_provenance_when_compared_to_the_disk_then_says_whether_it_differs(
    on_disk: OnDisk | None, differs: bool | None
) -> None:
    provenance = Provenance(signature=SignatureStatus.VALID, origin=Origin.KERNEL, on_disk=on_disk)
    assert provenance_view(provenance)["differs_from_disk"] is differs


def view(state: State, name: str = "bridge") -> dict[str, object]:
    return dict(file_view(state, provenance_of(state, state.inventory.modules[name]), name))


def test_file_when_it_is_the_loaded_one_then_there_is_no_other() -> None:
    shown = view(with_record(FILE, FILE, OnDisk.SAME))
    file = shown["file"]
    assert isinstance(file, dict)
    assert list(file) == FILE_KEYS  # without `trust`, which only says when to examine anew
    assert (file["origin"], file["build_id"], file["license"]) == ("dkms", "05", "GPL")
    assert list(shown) == ["on_disk", "file", "file_now", "writable_entries"]
    assert (shown["on_disk"], shown["file_now"]) == ("same", None)
    assert shown["writable_entries"] == ["/proc/bridge", "/sys/module/bridge/x"]


def test_file_when_it_was_replaced_then_both_are_shown_each_in_its_place() -> None:
    shown = view(with_record(OTHER_FILE, FILE, OnDisk.REPLACED))
    file, file_now = shown["file"], shown["file_now"]
    assert isinstance(file, dict) and isinstance(file_now, dict)
    assert (shown["on_disk"], file["build_id"], file_now["build_id"]) == ("replaced", "05", "06")
    assert list(file_now) == FILE_KEYS


def test_file_when_the_loaded_build_was_never_read_then_only_the_present_one_is_shown() -> None:
    shown = view(with_record(OTHER_FILE, None, OnDisk.ELSEWHERE))
    assert shown["file"] is None and isinstance(shown["file_now"], dict)


def test_file_when_nothing_was_examined_then_it_is_null_and_nothing_is_writable() -> None:
    assert in_order(file_view(recorded(), provenance_of(recorded(), recorded().inventory.modules["stp"]), "stp")) == [
        ("on_disk", None), ("file", None), ("file_now", None), ("writable_entries", []),
    ]  # fmt: skip
