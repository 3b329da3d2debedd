"""Changes below watched directories (inotify): how many files were created, written, deleted or moved.

The watched directories hold module files, kernels, modprobe.d, DKMS, certificates, the policy and the baseline.
"""

from dataclasses import dataclass

from kmodmon.events.event import Event
from kmodmon.events.kinds.policy import TreeChanged
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Instant

TREES = (
    "modules", "kernels", "loaded", "modprobe.d", "modules-load.d", "dkms", "policy", "baseline", "certificates",
)  # fmt: skip
"""Kinds of directory: label `tree`. `modules` is /lib/modules of the running kernel, `kernels` is /lib/modules itself,
`loaded` are the files of loaded modules in any directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChanges:
    """Changes below one directory, from the first until a pause. Counts are of files and directories."""

    tree: str  # one of TREES
    path: str  # of the watched directory
    created: int = 0
    written: int = 0
    deleted: int = 0
    moved: int = 0
    example: str = ""  # path of the first changed file; empty: not known

    @property
    def total(self) -> int:
        """Changes of every kind."""
        return self.created + self.written + self.deleted + self.moved

    @property
    def words(self) -> str:
        """The counts that are not 0, for people: `3 created, 1 deleted`."""
        counts = {"created": self.created, "written": self.written, "deleted": self.deleted, "moved": self.moved}
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChangesRead(Observation):
    """Directories with changes."""

    trees: tuple[TreeChanges, ...] = ()  # empty: the watch was set up


def file_change_events(read: FileChangesRead, at: Instant) -> tuple[Event, ...]:
    """Give one event for each directory, however many files changed."""
    return tuple(
        Event(
            details=TreeChanged(
                tree=tree.tree,
                path=tree.path,
                change=tree.words,
                count=tree.total,
                created=tree.created,
                written=tree.written,
                deleted=tree.deleted,
                moved=tree.moved,
            ),
            at=at,
            evidence=(tree.example,) if tree.example else (),
        )
        for tree in read.trees
    )
