"""modprobe.d: which modules the modprobe tool refuses, and which options it gives to others.

Interfaces: the directories of modprobe.d(5), world readable on every distribution. Absent: none of them has files.
"""

from collections.abc import Iterator
from os import fsdecode
from pathlib import Path

from kmodmon.examiner.tree import HostTree
from kmodmon.kernel.modprobe_d import DIRECTORIES, effective_files, parse_modprobe_file
from kmodmon.sources.source import PollSource, Reading, SourceContext
from kmodmon.subjects.modprobe import ModprobeConfig, ModprobeRead, PlacedDirective, modprobe_config
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Read
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import safe_text

_FILE_LIMIT = 4 << 20  # bytes
_MOST_FILES = 1000
_MOST_LINES = 50_000  # of all files together


class ModprobeReader:
    """Reads all files that modprobe reads; returns the same object while their directives are the same."""

    def __init__(self, root: Root) -> None:
        self._host = HostTree(Path(fsdecode(root.rootfs)))
        self._state = ModprobeRead(config=ModprobeConfig())

    def __call__(self) -> Reading:
        """Read the files; those that cannot be read are counted."""
        listing = {directory: self._host.names(directory) for directory in DIRECTORIES}
        paths = effective_files(listing)[:_MOST_FILES]
        if not any(listing.values()):
            return Reading(outcome=Absent("there is no modprobe.d directory with files in it"))
        contents = {path: self._host.read_if_there(path, _FILE_LIMIT) for path in paths}
        config = modprobe_config(_placed(contents))
        if config != self._state.config:
            self._state = ModprobeRead(config=config)
        unreadable = sum(raw is None and self._host.holds_data(path) for path, raw in contents.items())
        return Reading(outcome=Read(self._state), unreadable=unreadable)


def _placed(contents: dict[str, bytes | None]) -> Iterator[PlacedDirective]:
    left = _MOST_LINES
    for path, raw in contents.items():
        for directive in parse_modprobe_file(raw or b""):
            yield PlacedDirective(path=safe_text(path.encode("utf-8", "surrogateescape")), directive=directive)
            left -= 1
            if not left:
                return


def _make(context: SourceContext) -> ModprobeReader:
    return ModprobeReader(context.root)


SOURCE = PollSource(
    name=SourceName.MODPROBE,
    make=_make,
    every=lambda settings: settings.poll.files,
    interfaces=("/{etc,run,usr/local/lib,usr/lib,lib}/modprobe.d/*.conf",),
    remedy="mount the host's root file system where --path.rootfs says",
)
