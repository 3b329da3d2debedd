"""The policy and the baseline: two files of the operator, read by a timer and when the `watch` source sees a change.

They are handed on as bytes. :mod:`kmodmon.policy` parses them, and keeps the earlier content in force when it refuses
the new one. The bytes themselves are compared: no time stamp is as sure. Neither file need exist.
"""

from collections.abc import Callable
from pathlib import Path

from kmodmon.config.document import read_limited
from kmodmon.config.settings import Settings
from kmodmon.sources.source import PollSource, Reading, SourceContext
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.system.progress import note_progress
from kmodmon.system.root import Root
from kmodmon.types.outcome import Failed, Read
from kmodmon.types.source_name import SourceName

MAX_BYTES = 4 << 20


class RulesFileReader:
    """Reads one of the files; gives the same object while the file holds the same bytes."""

    def __init__(self, what: str, path: Path, root: Root) -> None:
        self._what, self._path, self._root = what, path, root
        self._last: RulesFileRead | None = None

    def __call__(self) -> Reading:
        """Read the file: one that does not exist is an observation, one that cannot be read a failure."""
        raw = self._raw()
        if isinstance(raw, Failed):
            return Reading(outcome=raw)
        host = self._root.text(self._root.proc(b"sys", b"kernel", b"hostname")) or ""
        read = RulesFileRead(what=self._what, path=str(self._path), raw=raw.value, host=host)
        if read != self._last:
            self._last = read
        return Reading(outcome=Read(self._last))

    def _raw(self) -> Read[bytes | None] | Failed:
        note_progress(str(self._path))
        try:
            raw = read_limited(self._path, MAX_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return Read(None)
        except OSError as error:
            return Failed(f"{self._path}: {error.strerror}", error.errno)
        return Failed(f"{self._path}: larger than {MAX_BYTES} bytes") if raw is None else Read(raw)


def _source(what: SourceName, file: Callable[[Settings], Path]) -> PollSource:
    def make(context: SourceContext) -> RulesFileReader:
        return RulesFileReader(what.value, file(context.settings), context.root)

    return PollSource(
        name=what,
        make=make,
        every=lambda settings: settings.poll.posture,
        interfaces=(f"{what}.file",),
        remedy=f"let kmodmon read the file that {what}.file names",
    )


SOURCES: tuple[PollSource, ...] = (
    _source(SourceName.POLICY, lambda settings: settings.policy.file),
    _source(SourceName.BASELINE, lambda settings: settings.baseline.file),
)
