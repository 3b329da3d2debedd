"""Changes of files that bear on modules, as a watch on their directories tells them: how many, not what they hold."""

from dataclasses import dataclass

from kmodmon.events.event import Event
from kmodmon.events.kinds.policy import TreeChanged
from kmodmon.types.outcome import Observation
from kmodmon.types.units import Instant

TREES = (
    "modules", "kernels", "loaded", "modprobe.d", "modules-load.d", "dkms", "policy", "baseline", "certificates",
)  # fmt: skip
"""Kinds of directory: label `tree`. `modules` is the running kernel's tree, `kernels` the directory of all of them,
`loaded` the files of loaded modules, wherever they lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChanges:
    """What happened below one directory until it was quiet again. Counts are of files and directories."""

    tree: str  # one of TREES
    path: str
    created: int = 0
    written: int = 0
    deleted: int = 0
    moved: int = 0
    example: str = ""  # the first of them

    @property
    def total(self) -> int:
        """All of them."""
        return self.created + self.written + self.deleted + self.moved

    @property
    def words(self) -> str:
        """For people: `3 created, 1 deleted`."""
        counts = {"created": self.created, "written": self.written, "deleted": self.deleted, "moved": self.moved}
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChangesRead(Observation):
    """Directories in which something happened; none: the watch stands."""

    trees: tuple[TreeChanges, ...] = ()


def file_change_events(read: FileChangesRead, at: Instant) -> tuple[Event, ...]:
    """One event a directory tree, however many files it was."""
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
