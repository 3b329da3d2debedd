"""Finds the file of a loaded module as modprobe does, by modules.dep; without an entry there, by walking the tree.

A tree may hold several files of one name (updates, extra, dkms beside kernel). modules.dep names the one that modprobe
loads; the others are candidates when the loaded build is not that one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kmodmon.examiner.tree import FileError, HostTree
from kmodmon.kernel.module_name import is_file_name, name_of_file
from kmodmon.modfile.depmod import parse_dep
from kmodmon.subjects.module_file import TreeOrigin
from kmodmon.types.text import safe_text

_DEP_LIMIT = 64 << 20  # bytes; a stock modules.dep has 0.6 million
_ORIGINS = {
    "kernel": TreeOrigin.KERNEL,
    "updates": TreeOrigin.UPDATES,
    "extra": TreeOrigin.EXTRA,
    "weak-updates": TreeOrigin.WEAK_UPDATES,
    "dkms": TreeOrigin.DKMS,
}
# depmod's default: updates before everything, then the tree of the kernel package
_SEARCH = (
    TreeOrigin.UPDATES,
    TreeOrigin.DKMS,
    TreeOrigin.EXTRA,
    TreeOrigin.WEAK_UPDATES,
    TreeOrigin.KERNEL,
    TreeOrigin.OTHER,
)


@dataclass(slots=True)
class ModuleTree:
    """/lib/modules/RELEASE of a host. modules.dep is read at the first query, the tree is walked only if that fails."""

    host: HostTree
    release: str
    _listed: Mapping[str, str] | None = None
    _walked: dict[str, list[str]] | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def directory(self) -> str:
        """The host's path of the tree; distributions with a merged /usr keep /lib as a symbolic link."""
        return f"/lib/modules/{self.release}"

    def candidates(self, name: str) -> tuple[str, ...]:
        """Give host paths of files for a module (the kernel's name), the likeliest first; () when there is none."""
        listed = self._from_dep().get(name)
        paths = [listed] if listed is not None and self.host.is_file(listed) else []
        if not paths:
            paths += self.elsewhere(name)
        return tuple(dict.fromkeys(paths))

    def elsewhere(self, name: str) -> tuple[str, ...]:
        """Give every file of that name in the tree, in depmod's order of directories. Walks the tree once."""
        if self._walked is None:
            self._walked = {}
            for path in self.host.walk(self.directory):
                if (module := name_of_file(path)) is not None:
                    self._walked.setdefault(module, []).append(path)
        return tuple(sorted(self._walked.get(name, ()), key=lambda path: _SEARCH.index(self.origin(path))))

    def origin(self, path: str) -> TreeOrigin:
        """Which part of the tree a path belongs to."""
        prefix = self.directory + "/"
        if not path.startswith(prefix):
            return TreeOrigin.OUTSIDE
        parts = path[len(prefix) :].split("/")
        if "dkms" in parts[:-1]:
            return TreeOrigin.DKMS
        return _ORIGINS.get(parts[0], TreeOrigin.OTHER)

    def _from_dep(self) -> Mapping[str, str]:
        if self._listed is None:
            self._listed = {}
            try:
                table = parse_dep(self.host.read(f"{self.directory}/modules.dep", _DEP_LIMIT))
                self._listed = {name: self._absolute(path) for name, path in table.paths.items()}
                if table.skipped:
                    self.problems.append(f"{self.directory}/modules.dep: {table.skipped} lines not understood")
            except FileError as error:
                self.problems.append(safe_text(str(error).encode("utf-8", "surrogateescape")))
        return self._listed

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.directory}/{path}"


def module_tree(host: HostTree, release: str) -> ModuleTree:
    """Give the tree of a kernel release; raises FileError for a release that is no directory name."""
    if not is_file_name(release):
        raise FileError(f"{release!r} is no kernel release")
    return ModuleTree(host, release)
