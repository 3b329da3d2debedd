"""Where a loaded module's file is, and which package put it there."""

import shutil
import sqlite3
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.examiner.locate import module_tree
from kmodmon.examiner.package import find_owners
from kmodmon.examiner.rpm_header import parse_rpm_header
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.subjects.module_file import Package, TreeOrigin
from kmodmon.types.error import ParseError

RELEASE = "6.1.0-9-amd64"
TREE = f"/lib/modules/{RELEASE}"


def put(root: Path, *paths: str, text: str = "x") -> None:
    for path in paths:
        (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (root / path.lstrip("/")).write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(
        tmp_path, f"{TREE}/kernel/net/bridge/bridge.ko", f"{TREE}/kernel/drivers/usb/usb-storage.ko.xz",
        f"{TREE}/updates/dkms/bridge.ko.zst", f"{TREE}/extra/zfs.ko", f"{TREE}/kernel/old.ko", f"{TREE}/own/odd.ko.gz",
    )  # fmt: skip
    put(
        tmp_path, f"{TREE}/modules.dep",
        text="updates/dkms/bridge.ko.zst: kernel/stp.ko\nkernel/drivers/usb/usb-storage.ko.xz:\nkernel/gone.ko:\n?\n",
    )  # fmt: skip
    return tmp_path


def test_candidates_when_modules_dep_names_it_then_that_file(root: Path) -> None:
    tree = module_tree(HostTree(root), RELEASE)
    assert tree.candidates("bridge") == (f"{TREE}/updates/dkms/bridge.ko.zst",)
    assert tree.candidates("usb_storage") == (f"{TREE}/kernel/drivers/usb/usb-storage.ko.xz",)
    assert tree.candidates("gone") == ()
    assert tree.problems == [f"{TREE}/modules.dep: 1 lines not understood"]


def test_candidates_when_modules_dep_lags_then_the_tree_by_depmods_order(root: Path) -> None:
    tree = module_tree(HostTree(root), RELEASE)
    assert tree.candidates("zfs") == (f"{TREE}/extra/zfs.ko",)
    assert tree.candidates("odd") == (f"{TREE}/own/odd.ko.gz",)
    assert tree.candidates("nosuch") == tree.candidates("../../etc/passwd") == ()
    assert tree.elsewhere("bridge") == (f"{TREE}/updates/dkms/bridge.ko.zst", f"{TREE}/kernel/net/bridge/bridge.ko")


def test_candidates_when_there_is_no_modules_dep_then_the_tree(root: Path) -> None:
    (root / TREE.lstrip("/") / "modules.dep").unlink()
    tree = module_tree(HostTree(root), RELEASE)
    assert tree.candidates("old") == (f"{TREE}/kernel/old.ko",)
    assert "modules.dep: No such file" in tree.problems[0]


def test_origin_when_a_path_then_its_part_of_the_tree(root: Path) -> None:
    tree = module_tree(HostTree(root), RELEASE)
    places = {
        f"{TREE}/kernel/a.ko": TreeOrigin.KERNEL,
        f"{TREE}/updates/a.ko": TreeOrigin.UPDATES,
        f"{TREE}/updates/dkms/a.ko": TreeOrigin.DKMS,
        f"{TREE}/extra/x/a.ko": TreeOrigin.EXTRA,
        f"{TREE}/weak-updates/a.ko": TreeOrigin.WEAK_UPDATES,
        f"{TREE}/mine/a.ko": TreeOrigin.OTHER,
        "/tmp/a.ko": TreeOrigin.OUTSIDE,
        f"{TREE}-evil/kernel/a.ko": TreeOrigin.OUTSIDE,
    }
    assert {path: tree.origin(path) for path in places} == places


@pytest.mark.parametrize("release", ["", "..", "a/b", "."])
def test_module_tree_when_the_release_is_no_name_then_file_error(tmp_path: Path, release: str) -> None:
    with pytest.raises(FileError):
        module_tree(HostTree(tmp_path), release)


def test_find_owners_when_dpkg_then_package_and_version(root: Path) -> None:
    bridge = f"{TREE}/kernel/net/bridge/bridge.ko"
    put(root, "/var/lib/dpkg/info/linux-image-6.1.0-9-amd64.list", text=f"/.\n/lib\n{bridge}\n")
    put(root, "/var/lib/dpkg/info/merged:amd64.list", text=f"/usr{TREE}/extra/zfs.ko\n")
    put(root, "/var/lib/dpkg/info/unrelated.list", text="/etc/x\n")
    put(
        root, "/var/lib/dpkg/status",
        text="Package: other\nVersion: 9\n\nPackage: linux-image-6.1.0-9-amd64\nStatus: x\nVersion: 6.1.27-1\n",
    )  # fmt: skip
    owners = find_owners(HostTree(root), RELEASE, [bridge, f"{TREE}/extra/zfs.ko", f"{TREE}/kernel/old.ko"])
    assert owners.packages == {
        bridge: Package(manager="dpkg", name="linux-image-6.1.0-9-amd64", version="6.1.27-1"),
        f"{TREE}/extra/zfs.ko": Package(manager="dpkg", name="merged", version=None),
    }
    assert owners.problems == []


def test_find_owners_when_dkms_built_it_then_the_dkms_module(root: Path) -> None:
    put(root, f"/var/lib/dkms/bridge-mod/2.1/{RELEASE}/x86_64/module/bridge.ko.zst")
    link = root / f"var/lib/dkms/bridge-mod/kernel-{RELEASE}-x86_64"
    link.symlink_to(f"2.1/{RELEASE}/x86_64")
    path = f"{TREE}/updates/dkms/bridge.ko.zst"
    owners = find_owners(HostTree(root), RELEASE, [path])
    assert owners.packages == {path: Package(manager="dkms", name="bridge-mod", version="2.1")}
    assert find_owners(HostTree(root), "6.2", [path]).packages == {}


def test_find_owners_when_pacman_then_package_and_version(root: Path) -> None:
    path = f"/usr{TREE}/extra/zfs.ko"
    put(root, "/var/lib/pacman/local/linux-zen-6.9.arch1-1/files", text=f"%FILES%\nusr/\n{path[1:]}\n")
    owners = find_owners(HostTree(root), RELEASE, [path])
    assert owners.packages == {path: Package(manager="pacman", name="linux-zen", version="6.9.arch1-1")}


def rpm_header(texts: dict[int, list[str]], numbers: dict[int, list[int]]) -> bytes:
    """A header blob as the rpm database holds it."""
    index, data = b"", b""
    for tag, words in texts.items():
        index += struct.pack(">IIII", tag, 8 if len(words) > 1 or tag > 1100 else 6, len(data), len(words))
        data += b"".join(word.encode() + b"\0" for word in words)
    for tag, values in numbers.items():
        data += bytes(-len(data) % 4)
        index += struct.pack(">IIII", tag, 4, len(data), len(values))
        data += struct.pack(f">{len(values)}I", *values)
    return struct.pack(">II", len(index) // 16, len(data)) + index + data


def test_find_owners_when_rpm_sqlite_then_package_and_version(root: Path) -> None:
    put(root, "/usr/lib/sysimage/rpm/keep")
    connection = sqlite3.connect(root / "usr/lib/sysimage/rpm/rpmdb.sqlite")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    connection.execute("CREATE TABLE Basenames (key TEXT NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL)")
    decoy = rpm_header({1000: ["decoy"], 1117: ["bridge.ko"], 1118: ["/opt/"]}, {1116: [0]})
    kernel = rpm_header(
        {1000: ["kernel-modules"], 1001: ["6.8.5"], 1002: ["1.fc40"], 1117: ["x", "bridge.ko"],
         1118: ["/etc/", f"/usr{TREE}/kernel/net/bridge/"]},
        {1003: [1], 1116: [0, 1]},
    )  # fmt: skip
    for number, blob in enumerate((b"broken", decoy, kernel), start=1):
        connection.execute("INSERT INTO Packages VALUES (?, ?)", (number, blob))
        connection.execute("INSERT INTO Basenames VALUES ('bridge.ko', ?, 0)", (number,))
    connection.commit()
    connection.close()
    path = f"{TREE}/kernel/net/bridge/bridge.ko"
    owners = find_owners(HostTree(root), RELEASE, [path, f"{TREE}/kernel/old.ko"])
    assert owners.packages == {path: Package(manager="rpm", name="kernel-modules", version="1:6.8.5-1.fc40")}


def test_find_owners_when_a_file_name_is_no_text_then_its_package_in_rpm(root: Path) -> None:
    put(root, "/var/lib/rpm/keep")
    connection = sqlite3.connect(root / "var/lib/rpm/rpmdb.sqlite")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    connection.execute("CREATE TABLE Basenames (key TEXT NOT NULL, hnum INTEGER NOT NULL)")
    header = rpm_header({1000: ["odd"], 1001: ["1"], 1002: ["2"], 1117: ["b?.ko"], 1118: ["/lib/"]}, {1116: [0]})
    connection.execute("INSERT INTO Packages VALUES (1, ?)", (header.replace(b"b?.ko", b"b\xff.ko"),))
    connection.execute("INSERT INTO Basenames VALUES (CAST(? AS TEXT), 1)", (b"b\xff.ko",))
    connection.commit()
    connection.close()
    owners = find_owners(HostTree(root), RELEASE, ["/lib/b\udcff.ko"])
    assert owners.packages == {"/lib/b\udcff.ko": Package(manager="rpm", name="odd", version="1-2")}


def test_find_owners_when_the_rpm_schema_quotes_what_is_no_text_then_it_says_so(root: Path) -> None:
    put(root, "/var/lib/rpm/keep")
    path = root / "var/lib/rpm/rpmdb.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    connection.commit()
    connection.close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE \xbf\xff\xfeLE"))
    assert "rpmdb.sqlite: " in find_owners(HostTree(root), RELEASE, [f"{TREE}/extra/zfs.ko"]).problems[0]


def test_find_owners_when_the_rpm_database_is_of_an_old_form_or_broken_then_it_says_so(root: Path) -> None:
    put(root, "/var/lib/rpm/Packages")
    path = f"{TREE}/extra/zfs.ko"
    assert "not supported" in find_owners(HostTree(root), RELEASE, [path]).problems[0]
    shutil.rmtree(root / "var/lib/rpm")
    put(root, "/var/lib/rpm/rpmdb.sqlite", text="this is no database, whatever its name")
    broken = find_owners(HostTree(root), RELEASE, [path])
    assert broken.packages == {} and "not a database" in broken.problems[0]


@given(st.binary(max_size=200))
def test_parse_rpm_header_when_any_bytes_then_a_value_or_parse_error(raw: bytes) -> None:
    for data in (raw, struct.pack(">II", 1, max(0, len(raw) - 16)) + raw):
        try:
            parse_rpm_header(data).paths(b"x")
        except ParseError:
            continue
