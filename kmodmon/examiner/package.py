"""Finds the package of a module file in the package databases: dpkg, rpm (sqlite), pacman, DKMS.

dpkg: /var/lib/dpkg/info/*.list name every file, /var/lib/dpkg/status the versions. rpm: rpmdb.sqlite (4.16 and later),
whose Basenames table refers to header blobs; the older Berkeley and ndb forms are reported as a problem. pacman:
/var/lib/pacman/local/*/files. DKMS: /var/lib/dkms/MODULE/kernel-RELEASE-ARCH is a link to the build that is installed.

With a merged /usr a file has two paths: they are compared without a leading /usr.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kmodmon.examiner.rpm_header import EPOCH, NAME, RELEASE, VERSION, RpmHeader, parse_rpm_header
from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.kernel.module_name import name_of_file
from kmodmon.subjects.module_file import Package
from kmodmon.types.error import ParseError
from kmodmon.types.text import safe_text

_LIST_LIMIT = 64 << 20  # bytes of one list
_DPKG = "/var/lib/dpkg"
_PACMAN = "/var/lib/pacman/local"
_DKMS = "/var/lib/dkms"
_RPM_DATABASES = ("/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite")
_RPM_UNREADABLE = (
    "/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages",
    "/usr/lib/sysimage/rpm/Packages.db",
)  # fmt: skip


@dataclass(slots=True)
class Owners:
    """Packages by the path of the file, and what could not be read."""

    packages: dict[str, Package] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find_owners(host: HostTree, release: str, paths: Iterable[str]) -> Owners:
    """Find the packages of files of the host, given by real paths; a file without a package is not in the result."""
    wanted = {_plain(path): path for path in paths}
    owners = Owners()
    for find in (_dpkg, _rpm, _pacman):
        try:
            packages = find(host, set(wanted) - {_plain(path) for path in owners.packages})
            owners.packages.update({wanted[plain]: package for plain, package in packages.items()})
        except FileError as error:
            owners.problems.append(str(error))
    rest = {path for path in wanted.values() if path not in owners.packages}
    owners.packages.update(_dkms(host, release, rest))
    return owners


def _plain(path: str) -> str:
    return path.removeprefix("/usr") if path.startswith("/usr/lib/") else path


def _dpkg(host: HostTree, wanted: set[str]) -> Mapping[str, Package]:
    owner: dict[str, str] = {}
    if not wanted:
        return {}
    for name in host.names(f"{_DPKG}/info"):
        if not name.endswith(".list"):
            continue
        raw = host.read_if_there(f"{_DPKG}/info/{name}", _LIST_LIMIT)
        if raw is None or b"/modules/" not in raw:
            continue
        package = name.removesuffix(".list").partition(":")[0]
        for line in raw.decode("utf-8", "surrogateescape").split("\n"):
            if (plain := _plain(line)) in wanted:
                owner[plain] = package
    versions = _dpkg_versions(host, set(owner.values())) if owner else {}
    return {path: Package(manager="dpkg", name=name, version=versions.get(name)) for path, name in owner.items()}


def _dpkg_versions(host: HostTree, names: set[str]) -> Mapping[str, str]:
    raw = host.read_if_there(f"{_DPKG}/status", _LIST_LIMIT) or b""
    versions: dict[str, str] = {}
    package = ""
    for line in raw.split(b"\n"):
        if line.startswith(b"Package: "):
            package = line[9:].decode("utf-8", "replace")
        elif line.startswith(b"Version: ") and package in names:
            versions[package] = safe_text(line[9:])
    return versions


def _pacman(host: HostTree, wanted: set[str]) -> Mapping[str, Package]:
    packages: dict[str, Package] = {}
    for entry in host.names(_PACMAN) if wanted else ():
        raw = host.read_if_there(f"{_PACMAN}/{entry}/files", _LIST_LIMIT)
        if raw is None or b"/modules/" not in raw:
            continue
        name, version, build = (*entry.rsplit("-", 2), "", "")[:3]
        for line in raw.decode("utf-8", "surrogateescape").split("\n"):
            if (plain := _plain("/" + line)) in wanted:
                packages[plain] = Package(manager="pacman", name=name, version=f"{version}-{build}")
    return packages


def _dkms(host: HostTree, release: str, wanted: set[str]) -> Mapping[str, Package]:
    packages: dict[str, Package] = {}
    by_name = {name_of_file(path): path for path in wanted}
    for module in host.names(_DKMS) if wanted else ():
        for link in host.names(f"{_DKMS}/{module}"):
            if not link.startswith(f"kernel-{release}-"):
                continue
            try:
                real = host.real(f"{_DKMS}/{module}/{link}")
            except FileError:
                continue
            version = real.removeprefix(f"{_DKMS}/{module}/").partition("/")[0]
            for built in host.names(f"{real}/module"):
                path = by_name.get(name_of_file(built))
                if path is not None:
                    packages[path] = Package(manager="dkms", name=module, version=version)
    return packages


def _rpm(host: HostTree, wanted: set[str]) -> Mapping[str, Package]:
    database = next((path for path in _RPM_DATABASES if host.is_file(path)), None)
    if database is None:
        unreadable = next((path for path in _RPM_UNREADABLE if host.is_file(path)), None)
        if unreadable is not None and wanted:
            raise FileError(f"{unreadable}: this form of the rpm database is not supported, packages are not known")
        return {}
    packages: dict[str, Package] = {}
    try:
        # immutable: nothing is locked or written, and a write-ahead log is not read
        uri = "file:" + _quoted(host.resolved(database)) + "?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True)
        try:
            for path in wanted:
                package = _rpm_owner(connection, path)
                if package is not None:
                    packages[path] = package
        finally:
            connection.close()
    # The second: a message that quotes damaged text of the file. The third: SQLite says so of some damaged schemas.
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        raise FileError(f"{database}: {error}") from error
    return packages


def _rpm_owner(connection: sqlite3.Connection, path: str) -> Package | None:
    base = path.rpartition("/")[2].encode("utf-8", "surrogateescape")
    for header in _rpm_headers(connection, base):
        names = {_plain(raw.decode("utf-8", "surrogateescape")) for raw in header.paths(base)}
        name = header.text(NAME)
        if path in names and name is not None:
            return Package(manager="rpm", name=safe_text(name), version=_rpm_version(header))
    return None


def _rpm_headers(connection: sqlite3.Connection, base: bytes) -> Iterator[RpmHeader]:
    query = "SELECT blob FROM Packages WHERE hnum IN (SELECT hnum FROM Basenames WHERE key = CAST(? AS TEXT)) LIMIT 64"
    for (blob,) in connection.execute(query, (base,)):
        if isinstance(blob, bytes):
            try:
                yield parse_rpm_header(blob)
            except ParseError:
                continue


def _rpm_version(header: RpmHeader) -> str:
    epoch = header.numbers.get(EPOCH, ())
    text = b"-".join(part for part in (header.text(VERSION), header.text(RELEASE)) if part is not None)
    return (f"{epoch[0]}:" if epoch else "") + safe_text(text)


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
