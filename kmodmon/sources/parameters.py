"""/sys/module/*/parameters/*: the values of module parameters, of loaded and of built-in modules.

Interface: kernel/params.c (Documentation/ABI/testing/sysfs-module). The module declares the mode: root-only parameters
(0400, 0600) need CAP_DAC_READ_SEARCH, a write-only one (0200) cannot be read by anybody, one without a getter returns
EPERM. Those are kept with the reason, and counted. Absent: no /sys/module.

A getter that hangs is given up after parameters.read_timeout and not called again for an hour, or until its module is
loaded anew; parameters that share its lock keep their last values while it hangs. Values are redacted by name before
they leave this module, and bounded; a redacted value has a keyed digest, so that a change of it shows.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from kmodmon.config.sections import ParameterSettings
from kmodmon.kernel.parameter import SecretNames, parse_parameter, redact
from kmodmon.sources.deadline import DeadlineReader, Task
from kmodmon.sources.source import PollSource, Reading, SourceContext
from kmodmon.subjects.parameters import Parameter, ParametersRead, ParameterTable
from kmodmon.system.root import Root
from kmodmon.types.outcome import Absent, Failed, Outcome, Read, switched_off
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import safe_text

PARAMETER = 1 << 17  # bytes of one; the kernel passes on a page
_BUILTIN = b""  # the group of all built-in modules: they share one lock
_GIVEN_UP_SECONDS = 3600.0
_KEY = secrets.token_bytes(16)  # one for the process, so that a reader with new settings makes the same digests


class ParametersReader:
    """Reads all parameters; caches raw values and modes, so that an unchanged one costs only its read."""

    def __init__(self, root: Root, settings: ParameterSettings) -> None:
        self._root = root
        self._settings = settings
        self._reader = DeadlineReader(lambda path: root.read(path, PARAMETER), settings.read_timeout)
        self._raw: dict[bytes, Outcome[bytes]] = {}
        self._parsed: dict[bytes, Parameter] = {}
        self._modes: dict[bytes, int | None] = {}
        self._hung: dict[bytes, tuple[int, float]] = {}  # path -> inode of its directory and time when it hung
        self._state = ParametersRead(table=ParameterTable())

    def __call__(self) -> Reading:
        """Read all once; the same object again when nothing changed. Absent without /sys/module, or switched off."""
        if not self._settings.enabled:
            return Reading(outcome=switched_off("parameters.enabled"))
        directory = self._root.sys(b"module")
        names = self._root.directories(directory)
        if not isinstance(names, Read):
            return Reading(outcome=names)
        listed = {name: tuple(self._listed(directory, name)) for name in names.value}
        answers = self._reader.read_all(tuple(self._tasks(listed)))
        for path in answers.hung:
            self._hung[path] = _inode(os.path.dirname(path)), time.monotonic()
        return self._result({name: paths for name, paths in listed.items() if paths}, answers.outcomes)

    def _tasks(self, listed: Mapping[bytes, tuple[bytes, ...]]) -> Iterator[Task]:
        for name, paths in listed.items():
            if paths:
                loadable = self._root.exists(self._root.sys(b"module", name, b"initstate"))
                yield from ((name if loadable else _BUILTIN, path) for path in paths if not self._is_given_up(path))

    def _listed(self, directory: bytes, name: bytes) -> Iterator[bytes]:
        below = b"/".join((directory, name, b"parameters"))
        match self._root.names(below):
            case Read(files):
                yield from (below + b"/" + file for file in files)
            case _:
                return

    def _is_given_up(self, path: bytes) -> bool:
        if path not in self._hung:
            return False
        inode, when = self._hung[path]
        if inode == _inode(os.path.dirname(path)) and time.monotonic() - when < _GIVEN_UP_SECONDS:
            return True
        del self._hung[path]
        return False

    def _result(self, listed: Mapping[bytes, tuple[bytes, ...]], results: Mapping[bytes, Outcome[bytes]]) -> Reading:
        modes = {path: self._root.mode(path) for paths in listed.values() for path in paths}
        if results != self._raw or modes != self._modes:
            self._modes = modes
            self._parsed = {path: self._parameter(path, results) for path in modes}
            self._raw = {**self._raw, **results}
            self._state = ParametersRead(table=self._table(listed))
        return Reading(outcome=Read(self._state), unreadable=self._state.table.unreadable)

    def _table(self, listed: Mapping[bytes, tuple[bytes, ...]]) -> ParameterTable:
        before = self._state.table.parameters
        table: dict[str, Mapping[str, Parameter]] = {}
        for name, paths in listed.items():
            now = {safe_text(os.path.basename(path)): self._parsed[path] for path in paths}
            module = safe_text(name)
            was = before.get(module)
            table[module] = was if was is not None and dict(was) == now else MappingProxyType(now)
        unreadable = sum(parameter.value is None for parameters in table.values() for parameter in parameters.values())
        return ParameterTable(
            parameters=MappingProxyType(table),
            read=True,
            unreadable=unreadable,
            text_series=self._settings.info_series,
            most_series=self._settings.max_series,
        )

    def _parameter(self, path: bytes, results: Mapping[bytes, Outcome[bytes]]) -> Parameter:
        outcome = results.get(path)
        before = self._parsed.get(path)
        mode = self._modes[path]
        if before is not None and (outcome is None or self._raw.get(path) == outcome):
            return before if before.mode == mode else replace(before, mode=mode)
        match outcome:
            case Read(raw):
                return self._readable(path, raw, mode)
            case Absent(why) | Failed(why):
                return Parameter(value=None, mode=mode, why=why)
            case None:
                return Parameter(value=None, mode=mode, why="not read: another parameter of the module hangs")

    def _readable(self, path: bytes, raw: bytes, mode: int | None) -> Parameter:
        value = parse_parameter(raw, self._settings.max_value_length)
        module, _, name = path.split(b"/")[-3:]
        if not is_hidden(self._settings, safe_text(module), safe_text(name)):
            return Parameter(value=value, mode=mode)
        hidden = redact(value)
        if hidden is value:
            return Parameter(value=value, mode=mode)
        digest = hashlib.blake2b(raw, digest_size=8, key=_KEY).digest()
        return Parameter(value=hidden, mode=mode, mark=int.from_bytes(digest))


def is_hidden(settings: ParameterSettings, module: str, name: str) -> bool:
    """Whether the settings hide the value of this parameter."""
    return secret_names(settings).hides(name, module)


def secret_names(settings: ParameterSettings) -> SecretNames:
    """The names whose values these settings hide, in parameters, command lines and the log."""
    return SecretNames(redact=settings.redact, allow=settings.redact_allow)


def _inode(path: bytes) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _make(context: SourceContext) -> ParametersReader:
    return ParametersReader(context.root, context.settings.parameters)


SOURCE = PollSource(
    name=SourceName.PARAMETERS,
    make=_make,
    every=lambda settings: settings.poll.parameters,
    threaded=True,
    depends_on=lambda settings: settings.parameters,
    interfaces=("/sys/module/<module>/parameters/<parameter>",),
    remedy="CAP_DAC_READ_SEARCH, as in the packaged unit, lets root-only parameters be read",
)
