"""Other suites' sources are the machine's own with the suite renamed, in either format of apt's."""

from pathlib import Path

import pytest

from tests.vm import suites
from tests.vm.lab import LabError

DEB822 = """Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""
ONE_LINE = """# the machine's
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main contrib # more
deb http://mirror.example/debian-security bookworm-security main
deb http://vendor.example/apt stable main-vendor
"""


@pytest.fixture
def etc_apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_sources_when_deb822_then_only_the_suite_changes(etc_apt: Path) -> None:
    (etc_apt / "sources.list.d/debian.sources").write_text(DEB822)
    main, security = suites.machine_sources(etc_apt)
    assert suites.renamed(main, "sid") == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\n"
        "Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )
    assert "debian-security\nSuites: trixie-security\n" in suites.renamed(security, "trixie-security")


def test_sources_when_one_line_then_options_become_fields(etc_apt: Path) -> None:
    (etc_apt / "sources.list").write_text(ONE_LINE)
    main, security = suites.machine_sources(etc_apt)
    assert "URIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n" in suites.renamed(main, "trixie")
    assert "Signed-By: /usr/share/keyrings/x.gpg\n" in main
    assert "Architectures: amd64\n" in main
    assert "debian-security" in security


def test_sources_when_no_security_archive_then_main_alone(etc_apt: Path) -> None:
    (etc_apt / "sources.list").write_text("deb http://mirror.example/debian sid main\n")
    assert len(suites.machine_sources(etc_apt)) == 1


def test_sources_when_no_debian_then_an_error_says_so(etc_apt: Path) -> None:
    (etc_apt / "sources.list").write_text("deb http://vendor.example/apt noble main\n")
    with pytest.raises(LabError, match="Debian"):
        suites.machine_sources(etc_apt)
