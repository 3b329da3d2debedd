"""In processes of their own: what a process has imported it cannot forget."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from kmodmon.system.partial_import import import_submodule
found = import_submodule({package!r}, {name!r}, unused={unused!r})
print(len([name for name in sys.modules if name.startswith({package!r})]), found.__name__, *dir(found))
"""


def imported(package: str, name: str, path: Path | None = None, unused: tuple[str, ...] = ()) -> list[str]:
    code = (f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else "") + CODE.format(
        package=package, name=name, unused=unused
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_uevents_when_imported_leanly_then_the_socket_is_there_and_little_else() -> None:
    count, _, *names = imported("pyroute2", "netlink.uevent")
    assert "AsyncUeventSocket" in names
    assert int(count) < 40


def test_package_when_it_needs_its_own_start_then_it_is_imported_in_the_ordinary_way(tmp_path: Path) -> None:
    package = tmp_path / "needy"
    package.mkdir()
    (package / "__init__.py").write_text("SETTING = 7\n")
    (package / "part.py").write_text("from needy import SETTING\nFOUND = SETTING\n")
    count, name, *names = imported("needy", "part", tmp_path)
    assert (count, name) == ("2", "needy.part")
    assert "FOUND" in names


def test_module_when_it_subclasses_what_nobody_uses_then_a_stand_in_serves_and_goes_again(tmp_path: Path) -> None:
    package = tmp_path / "served"
    package.mkdir()
    (package / "__init__.py").write_text("1 / 0\n")
    (package / "part.py").write_text(
        "from http.server import HTTPServer\nclass Mine(HTTPServer): pass\nimport sys\n"
        "STOOD = not hasattr(sys.modules['http.server'], '__file__')\n"
    )
    (package / "after.py").write_text("import http.server\nREAL = http.server.HTTPServer\n")
    _, name, *names = imported("served", "part", tmp_path, ("http.server",))
    assert name == "served.part" and "Mine" in names
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from kmodmon.system.partial_import import import_submodule\n"
        "part = import_submodule('served', 'part', unused=('http.server',))\n"
        "import served.after\n"
        "print(part.STOOD, served.after.REAL.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "http.server"]


def test_daemon_when_started_by_its_command_then_servers_and_command_lines_of_libraries_are_not_imported() -> None:
    code = (
        "import sys\nfrom kmodmon.cli.run import import_partially\n"
        "import_partially(tls=False)\nimport kmodmon.runtime.daemon\n"
        "print([m for m in ('click', 'multiprocessing', 'http.server', 'http.client', 'wsgiref') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


DAEMON = """
import sys
from kmodmon.cli.run import import_partially
import_partially(tls={tls})
import kmodmon.runtime.daemon, kmodmon.sources.files_reader, kmodmon.sources.parameters, kmodmon.web.webconfig
import asyncio, hashlib, hmac
print(hashlib.sha256(b"abc").hexdigest(), hmac.compare_digest("a", "a"), hasattr(asyncio.sslproto.ssl, "SSLContext"))
print(*(name for name in ("ssl", "_ssl", "_hashlib") if name in sys.modules))
import ssl, prometheus_client.exposition
print(ssl.SSLContext.__module__, prometheus_client.exposition.generate_latest.__name__)
"""
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


@pytest.mark.parametrize(("tls", "modules"), [(False, ""), (True, "ssl _ssl _hashlib")])
def test_daemon_when_nothing_is_served_over_tls_then_it_is_without_openssl(tls: bool, modules: str) -> None:
    done = subprocess.run([sys.executable, "-c", DAEMON.format(tls=tls)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{SHA256_OF_ABC} True {tls}", modules, "ssl generate_latest"]


NO_OWN_HASHES = """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("_sha256", "_sha2") else find_spec(name, *rest)
"""


def test_daemon_when_python_has_no_hashes_of_its_own_then_those_of_openssl_serve() -> None:
    code = NO_OWN_HASHES + DAEMON.format(tls=False)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{SHA256_OF_ABC} True False", "_hashlib", "ssl generate_latest"]


UNSLOTTED = """
import dataclasses, gc
import kmodmon.runtime.daemon
from kmodmon.system.memory_footprint import release_unslotted_classes
from kmodmon.types.units import Instant
def replaced():
    names = [(each.__module__, each.__qualname__) for each in gc.get_objects() if isinstance(each, type)]
    return sum(names.count(name) > 1 for name in set(names) if name[0].startswith("kmodmon."))
before = replaced()
release_unslotted_classes()
print(before > 100, replaced())
try:
    Instant(realtime_usec=1, monotonic_usec=1).realtime_usec = 2
except dataclasses.FrozenInstanceError as error:
    print(error)
"""


def test_dataclasses_when_released_then_each_class_is_there_once_and_frozen() -> None:
    done = subprocess.run([sys.executable, "-c", UNSLOTTED], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True 0", "cannot assign to field 'realtime_usec'"]
