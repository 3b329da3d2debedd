"""Where a loaded module came from, what became of its file, and what is told of it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.events.event import Actor, Event, Process
from kmodmon.lifecycle.inventory import Inventory, Loaded, SignatureStatus
from kmodmon.state.trust import provenance_of
from kmodmon.subjects.files import MOST_EVENTS, FileRecord, FilesState, ModuleFilesRead, Origin, load_paths
from kmodmon.subjects.files_json import files_from_json, files_to_json
from kmodmon.subjects.module_file import ModuleFile, OnDisk, TreeOrigin
from kmodmon.types.units import JsonObject
from tests.policy.scene import Host, file, missing_file
from tests.states import field, types


def loaded_by(host: Host, name: str, comm: str | None, *arguments: str) -> None:
    """Say who loaded a module."""
    actor = None if comm is None else Actor(process=Process(pid=7, comm=comm, cmdline=(comm, *arguments)))
    inventory = host.state.inventory
    how = replace(inventory.loaded[name], actor=actor)
    host.state = replace(host.state, inventory=replace(inventory, loaded={**inventory.loaded, name: how}))


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (TreeOrigin.KERNEL, Origin.KERNEL),
        (TreeOrigin.DKMS, Origin.DKMS),
        (TreeOrigin.WEAK_UPDATES, Origin.WEAK_UPDATES),
        (TreeOrigin.OTHER, Origin.OTHER),
        (TreeOrigin.OUTSIDE, Origin.ELSEWHERE),
    ],
)
def test_origin_when_the_file_is_the_loaded_build_then_by_its_place(origin: TreeOrigin, expected: Origin) -> None:
    host = Host()
    host.load("some")
    host.examine({"some": file("some", origin=origin)})
    assert provenance_of(host.state, host.loaded["some"]).origin is expected


@pytest.mark.parametrize(
    ("comm", "arguments", "hinted", "expected"),
    [
        (None, (), None, Origin.ELSEWHERE),
        ("insmod", ("./x.ko",), None, Origin.ELSEWHERE),
        ("insmod", ("/root/x.ko",), "/root/x.ko", Origin.DELETED),
        ("modprobe", ("x",), None, Origin.DELETED),
        ("python3", ("-c", "…"), None, Origin.MEMORY),
    ],
)
def test_origin_when_there_is_no_file_then_by_who_loaded_it(
    comm: str | None, arguments: tuple[str, ...], hinted: str | None, expected: Origin
) -> None:
    host = Host()
    host.load("x")
    loaded_by(host, "x", comm, *arguments)
    host.examine({"x": missing_file("x")}, {} if hinted is None else {"x": hinted})
    assert provenance_of(host.state, host.loaded["x"]).origin is expected


def test_origin_when_another_build_lay_there_before_the_load_then_elsewhere() -> None:
    host = Host(boot_time=1_700_000_000)
    host.load("x", after=10)
    host.examine({"x": file("x", srcversion="OTHER", changed=1)})
    known = provenance_of(host.state, host.loaded["x"])
    assert (known.origin, known.on_disk, known.differs) == (Origin.ELSEWHERE, OnDisk.ELSEWHERE, True)
    assert known.signer is None and known.file is None


def test_file_when_its_bytes_change_and_its_build_does_not_then_replaced() -> None:
    host = Host()
    host.load("x")
    host.examine({"x": file("x")})
    events = host.examine({"x": file("x", SignatureStatus.INVALID, sha256="ff")})
    assert [(field(event, "on_disk"), field(event, "signature")) for event in events[:1]] == [("replaced", "invalid")]
    known = provenance_of(host.state, host.loaded["x"])
    assert (known.on_disk, known.signature, known.signer) == (OnDisk.REPLACED, SignatureStatus.VALID, "Debian")


def test_file_when_judged_anew_then_the_verdict_follows_and_nothing_happened() -> None:
    host = Host()
    host.load("x", taint="E")
    host.examine({"x": file("x", SignatureStatus.SIGNED)})
    events = host.examine({"x": file("x", SignatureStatus.INVALID)})
    assert "FileChanged" not in types(events)
    assert provenance_of(host.state, host.loaded["x"]).signature is SignatureStatus.INVALID


def test_module_when_loaded_anew_then_its_file_is_examined_anew() -> None:
    host = Host()
    host.load("x")
    host.examine({"x": file("x")})
    host.unload("x")
    host.load("y", "x")
    assert provenance_of(host.state, host.loaded["x"]).origin is Origin.UNKNOWN


def test_examination_when_of_another_load_then_it_does_not_count() -> None:
    host = Host()
    host.load("x")
    asked = dict(host.loaded)
    host.unload("x")
    host.load("y", "x")
    now, host.loaded = host.loaded, asked
    host.examine({"x": file("x")})
    assert provenance_of(host.state, now["x"]).origin is Origin.UNKNOWN


def test_files_when_a_package_replaces_many_then_one_event_tells_of_all() -> None:
    host = Host()
    names = [f"m{number}" for number in range(MOST_EVENTS + 5)]
    host.load(*names)
    host.examine({name: file(name) for name in names})
    late = host.clock.now().realtime_usec * 1000 + 10**9
    events = host.examine({name: file(name, srcversion="NEW", sha256="1", changed=late) for name in names})
    (changed,) = (event for event in events if event.type == "FileChanged")
    assert (field(changed, "count"), field(changed, "tree")) == (MOST_EVENTS + 5, "loaded")


def test_kernel_when_installed_then_told_once_and_newer_or_not() -> None:
    host = Host()
    seen = replace_releases(host, ("6.1.0-18-amd64", "6.1.0-20-amd64"), ("6.1.0-20-amd64",))
    assert [(field(event, "release"), field(event, "newer")) for event in seen] == [("6.1.0-20-amd64", True)]
    assert replace_releases(host, ("6.1.0-18-amd64", "6.1.0-20-amd64"), ("6.1.0-20-amd64",)) == []


def replace_releases(host: Host, releases: tuple[str, ...], newer: tuple[str, ...]) -> list[Event]:
    return list(host.see("files", ModuleFilesRead(files={}, instances={}, releases=releases, newer=newer)))


def test_load_paths_when_loaders_named_files_then_absolute_ones_only() -> None:
    def by(*words: str) -> Loaded:
        return Loaded(before_start=False, actor=Actor(process=Process(pid=1, comm="insmod", cmdline=words)))

    inventory = Inventory(
        loaded={
            "a": by("insmod", "/opt/a.ko"),
            "b": by("insmod", "b.ko"),
            "c": by("insmod", "-f", "/opt/c.ko.xz", "x=1"),
            "d": by("modprobe", "d"),
            "e": Loaded(before_start=True),
        }
    )
    assert load_paths(inventory) == {"a": "/opt/a.ko", "c": "/opt/c.ko.xz"}


_FILES = st.builds(
    file,
    st.text(max_size=5),
    st.sampled_from(SignatureStatus),
    st.sampled_from(TreeOrigin),
    srcversion=st.text(max_size=3),
    package=st.none() | st.text(max_size=3),
)


@given(
    st.dictionaries(st.text(max_size=5), st.tuples(_FILES, st.none() | _FILES, st.booleans()), max_size=3),
    st.none() | st.tuples(st.text(max_size=4)),
)
def test_files_when_remembered_then_they_are_the_same(
    rows: Mapping[str, tuple[ModuleFile, ModuleFile | None, bool]], releases: tuple[str] | None
) -> None:
    records = {
        name: FileRecord(
            instance=5 if same else None, file=now, own=now if same else own, on_disk=OnDisk.SAME,
            origin=Origin.DKMS,
        )
        for name, (now, own, same) in rows.items()
    }  # fmt: skip
    files = FilesState(records=records, releases=releases, newer=releases or (), writable={"x": ("/proc/x",)})
    assert files_from_json(files_to_json(files)) == files


_KEYS = st.sampled_from(["records", "file", "own", "x", "releases"])
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(_KEYS, _ANYTHING, max_size=3))
def test_files_when_what_was_remembered_is_anything_then_it_is_dropped(document: JsonObject) -> None:
    assert files_from_json(document).records == {}
