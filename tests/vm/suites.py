"""Packages of Debian suites other than this machine's own, without touching this machine's apt.

Each suite gets an apt state of its own in the cache. Its source list is the machine's, with the suite renamed: so
whatever mirror, proxy or keyring the machine was given is used, and no host is named here.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.vm.lab import LabError, directory, run

_DAY = 24 * 3600.0
_DEBIAN_SUITES = frozenset(
    ("stable", "oldstable", "testing", "unstable", "sid", "bullseye", "bookworm", "trixie", "forky", "duke")
)
# Released suites: their newest kernels come as security updates. testing and sid have no such archive.
_WITH_SECURITY = frozenset(("bookworm", "trixie"))
_OPTION_FIELDS = {"signed-by": "Signed-By", "trusted": "Trusted", "arch": "Architectures"}
# A field of a deb822 stanza with its continuation lines.
_FIELD = re.compile(r"^(?P<name>[A-Za-z-]+):[ \t]*(?P<value>.*(?:\n[ \t].*)*)$", re.MULTILINE)
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One suite of the Debian archive, as this machine's mirror has it."""

    name: str

    @property
    def _state(self) -> Path:
        return directory("apt", self.name)

    @property
    def sources(self) -> Path:
        """The suite's source list, in deb822 format; made by the first call of :meth:`refresh`."""
        return self._state / "suite.sources"

    def refresh(self) -> None:
        """Fetch the suite's package lists unless that was done today; an older list may name packages now gone."""
        mark = self._state / "refreshed"
        if mark.exists() and time.time() - mark.stat().st_mtime < _DAY:
            return
        for part in ("lists/partial", "cache/archives/partial"):
            (self._state / part).mkdir(parents=True, exist_ok=True)
        self.sources.write_text(self._renamed_sources())
        self._apt("apt-get", "update", "-qq")
        mark.touch()

    def download(self, packages: list[str], into: Path) -> list[Path]:
        """Fetch packages and give their files."""
        into.mkdir(parents=True, exist_ok=True)
        self._apt("apt-get", "download", "-qq", *packages, cwd=into)
        return sorted(into.glob("*.deb"))

    def depends(self, package: str, pattern: str) -> str | None:
        """First package that `package` depends on and whose name matches; None if there is none or no such package."""
        try:
            shown = self._apt("apt-cache", "show", "--no-all-versions", package)
        except LabError:
            return None
        for line in shown.splitlines():
            if line.startswith("Depends:"):
                names = [entry.split()[0] for entry in line.removeprefix("Depends:").split(",") if entry.strip()]
                return next((name for name in names if re.match(pattern, name)), None)
        return None

    def _renamed_sources(self) -> str:
        main, *security = machine_sources()
        stanzas = [renamed(main, self.name)]
        if self.name in _WITH_SECURITY:
            stanzas += [renamed(stanza, f"{self.name}-security") for stanza in security]
        return "\n".join(stanzas)

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        settings = (
            "Dir::Etc::sourcelist=/dev/null",
            f"Dir::Etc::sourceparts={self._state}",
            f"Dir::State::lists={self._state}/lists",
            f"Dir::Cache={self._state}/cache",
            "Dir::State::status=/dev/null",
            "APT::Sandbox::User=root",
            # A list that could not be fetched is a failure, not a warning.
            "APT::Update::Error-Mode=any",
        )
        return run(program, *(part for setting in settings for part in ("-o", setting)), *arguments, cwd=cwd)


def machine_sources(etc_apt: Path = Path("/etc/apt")) -> list[str]:
    """This machine's sources of Debian's main archive and of its security updates, as deb822 stanzas.

    Raises LabError if it has none.
    """
    found = [fields for fields in _all_sources(etc_apt) if _offers_packages(fields)]
    main = next((fields for fields in found if not _DEBIAN_SUITES.isdisjoint(_suites(fields))), None)
    security = next((fields for fields in found if any(name.endswith("-security") for name in _suites(fields))), None)
    if main is None:
        raise LabError("no source of Debian packages in /etc/apt: the lab builds its guests on a Debian machine only")
    return [_stanza(fields) for fields in (main, security) if fields is not None]


def renamed(stanza: str, suite: str) -> str:
    """Give a source stanza for another suite, main packages only and no source packages."""
    return _stanza(_fields(stanza) | {"Types": "deb", "Suites": suite, "Components": "main"})


def _all_sources(etc_apt: Path) -> Iterator[dict[str, str]]:
    for path in sorted(etc_apt.glob("sources.list.d/*.sources")):
        yield from (_fields(stanza) for stanza in re.split(r"\n\s*\n", path.read_text()))
    for path in (etc_apt / "sources.list", *sorted(etc_apt.glob("sources.list.d/*.list"))):
        if path.exists():
            yield from _one_line_sources(path.read_text())


def _stanza(fields: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _suites(fields: dict[str, str]) -> list[str]:
    return fields.get("Suites", "").split()


def _fields(stanza: str) -> dict[str, str]:
    text = "\n".join(line for line in stanza.splitlines() if not line.startswith("#"))
    return {found["name"]: found["value"] for found in _FIELD.finditer(text)}


def _offers_packages(fields: dict[str, str]) -> bool:
    return (
        "deb" in fields.get("Types", "").split()
        and fields.get("Enabled", "yes") != "no"
        and "main" in fields.get("Components", "").split()
    )


def _one_line_sources(text: str) -> Iterator[dict[str, str]]:
    for line in text.splitlines():
        if found := _ONE_LINE.match(line.partition("#")[0].strip()):
            fields = {"Types": "deb", "URIs": found["uri"], "Suites": found["suite"], "Components": found["components"]}
            for option in (found["options"] or "").split():
                name, _, value = option.partition("=")
                fields[_OPTION_FIELDS.get(name, name)] = value
            yield fields
