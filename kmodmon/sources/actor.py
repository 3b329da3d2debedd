"""/proc/PID: the process behind a trace event, captured at once, because it may exit within a millisecond.

Interfaces (proc(5)), read at once: status (also a thread's), cmdline; then, through psutil, stat and exe, of the
process and of its parents; loginuid, cgroup.
`exe` needs the rights of ptrace (the same user, or CAP_SYS_PTRACE); the rest is world readable unless procfs is mounted
with hidepid. Absent: the process exited.

Facts the code below is written from:

- A trace event names a thread, by its id in the initial pid namespace. procfs of any other pid namespace (a container
  without the host's) would name other processes: there is no kthreadd with pid 2 there, and nothing is looked up.
- A pid is used again: a process that started after the event is another one. Its name may have changed by exec since;
  for an event that waited in the buffer, another name means another process.
- modprobe as the kernel runs it for request_module() (kernel/module/kmod.c) is `modprobe -q -- ALIAS`, a child of a
  kernel thread, without a login; the process that asked is another one, and waits.
- Arguments are redacted as parameters are: `insmod x.ko psk=...` must not bring a key into the history.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import psutil

from kmodmon.config.settings import Settings
from kmodmon.events.event import Actor, Process
from kmodmon.kernel.cgroup import Cgroup, parse_cgroup
from kmodmon.kernel.parameter import REDACTED, is_secret
from kmodmon.kernel.task_status import TaskStatus, parse_task_status
from kmodmon.system.clock import Clock
from kmodmon.system.root import Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Read
from kmodmon.types.text import bounded, safe_text

T = TypeVar("T")

_KTHREADD = 2
_NO_LOGIN = 0xFFFFFFFF
_PARENTS_MAX = 8
_ARGUMENTS_MAX, _ARGUMENT_MAX = 32, 256
_STATUS_HEAD = 4096  # bytes; `Groups`, which may be long, is behind the ids
_REMEMBERED = 512
_PARENT_KEPT = 10.0  # seconds
_TOOL_KEPT = 300.0  # seconds that a tool of kmod's may run and still be the task that was looked up
_STALE = 2.0  # seconds after which an event's task may be another one
_SLACK = 1.0  # seconds: create times count clock ticks from a boot time that is itself rounded
_KERNELS_MODPROBE = ("-q", "--")  # kernel/module/kmod.c call_modprobe()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Started:
    """A task that was looked up when it began to run a tool."""

    actor: Actor
    asked_for: str | None
    monotonic_usec: int

    def fits(self, comm: str | None, monotonic_usec: int) -> bool:
        """Whether an event of this thread id and name is that task's."""
        passed = monotonic_usec - self.monotonic_usec
        return 0 <= passed < _TOOL_KEPT * 1e6 and comm in (None, self.actor.process.comm)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcSnapshot:
    """What two quick reads gave of a task."""

    status: TaskStatus
    cmdline: bytes
    at_usec: int  # when the status was read; an event that came later may be another task's


class Actors:
    """Looks up processes of one host, and remembers those it saw begin to run a tool of kmod's.

    `glance` may be called in another thread than the rest: it remembers nothing.
    """

    def __init__(self, root: Root, settings: Settings, clock: Clock) -> None:
        psutil.PROCFS_PATH = os.fsdecode(root.procfs)
        self._root = root
        self._settings = settings
        self._clock = clock
        self.resolves = settings.actor.enabled and _is_initial_pid_namespace(root)
        self._started: OrderedDict[int, _Started] = OrderedDict()
        self._parents: OrderedDict[int, tuple[int, Process, int]] = OrderedDict()
        self._is_secret = lru_cache(maxsize=_REMEMBERED)(self._tell_secret)

    def glance(self, tids: Iterable[int]) -> Mapping[int, ProcSnapshot]:
        """Read of each task, quickly, what its exit would take away; `capture` looks at the rest of it one by one."""
        if not self.resolves:
            return {}
        seen = {tid: status for tid in tids if (status := _status(self._root, tid)) is not None}
        return {tid: self._glanced(status) for tid, status in seen.items()}

    def _glance(self, tid: int) -> ProcSnapshot | None:
        status = _status(self._root, tid)
        return None if status is None else self._glanced(status)

    def _glanced(self, status: TaskStatus) -> ProcSnapshot:
        at = self._clock.now().monotonic_usec
        # Not snatched: reading it may wait, for a lock that the task holds.
        outcome = self._root.head(self._root.proc(b"%d" % status.process, b"cmdline"), _ARGUMENTS_MAX * _ARGUMENT_MAX)
        return ProcSnapshot(status=status, cmdline=outcome.value if isinstance(outcome, Read) else b"", at_usec=at)

    def capture(
        self, tid: int, comm: str | None, monotonic_usec: int, glance: ProcSnapshot | None = None
    ) -> tuple[Actor, str | None]:
        """Look the task up now: the actor, and what the kernel told it to load if it is the kernel's own modprobe.

        `glance` is one that was made after the event. `exited`: it is gone, and only what the event said is known.
        """
        started = self._started.get(tid)
        if started is not None and started.fits(comm, monotonic_usec):
            return started.actor, started.asked_for
        found = self._look(tid, comm, monotonic_usec, glance) if self.resolves else None
        if found is not None:
            return found
        return Actor(process=Process(pid=tid, comm=comm), exited=self.resolves), None

    def started(self, tid: int, monotonic_usec: int, glance: ProcSnapshot | None = None) -> Actor:
        """Look up a task that has just begun to run a tool of kmod's, and remember it: it may not live to be seen."""
        self._started.pop(tid, None)
        actor, asked_for = self.capture(tid, None, monotonic_usec, glance)  # the name it had before may be the event's
        if self.resolves and not actor.exited:
            _remember(self._started, tid, _Started(actor=actor, asked_for=asked_for, monotonic_usec=monotonic_usec))
        return actor

    def _look(
        self, tid: int, comm: str | None, monotonic_usec: int, glance: ProcSnapshot | None
    ) -> tuple[Actor, str | None] | None:
        if glance is None or glance.at_usec < monotonic_usec:
            glance = self._glance(tid)
        if glance is None:
            return None
        status, arguments = glance.status, _arguments(glance.cmdline)
        comm = status.comm if comm is None else comm
        now = self._clock.now()
        if comm != status.comm and now.monotonic_usec - monotonic_usec > _STALE * 1e6:
            return None
        exe = None
        try:
            process = psutil.Process(status.process)
            if process.create_time() > now.back_to(monotonic_usec).seconds + _SLACK:
                return None  # the id was used again
            exe = _optional(process.exe)
        except (psutil.Error, OSError, ValueError):
            pass  # it exits now: the glance is what there is of it, and its parents
        described = self._process(status.process, comm, arguments, exe)
        return self._actor(status, described, tuple(self._ancestors(status.parent))), _asked_for(arguments)

    def _actor(self, status: TaskStatus, process: Process, parents: tuple[Process, ...]) -> Actor:
        cgroup = self._cgroup(status.process)
        return Actor(
            process=process,
            uid=status.uid,
            login_uid=self._login_uid(status.process),
            parents=parents,
            unit=None if cgroup is None else cgroup.unit,
            cgroup=None if cgroup is None else cgroup.path,
            container=None if cgroup is None else cgroup.container,
        )

    def _process(self, pid: int, comm: str, arguments: Sequence[str], exe: str | None) -> Process:
        shown = arguments if arguments and self._settings.actor.arguments else None
        return Process(
            pid=pid,
            comm=comm,
            exe=safe_text(os.fsencode(exe)) if exe else None,
            cmdline=None if shown is None else tuple(self._redacted(shown)),
        )

    def _redacted(self, arguments: Sequence[str]) -> Iterator[str]:
        # `name=value` as insmod and modprobe take it; `--name value` hides what follows.
        hide = False
        for argument in arguments[:_ARGUMENTS_MAX]:
            name, equals, _ = argument.partition("=")
            secret = self._is_secret(name.lstrip("-"))
            if hide:
                yield REDACTED
            elif equals and secret:
                yield f"{bounded(name, _ARGUMENT_MAX)}={REDACTED}"
            else:
                yield bounded(argument, _ARGUMENT_MAX)
            hide = not hide and not equals and secret and argument.startswith("-")
        if len(arguments) > _ARGUMENTS_MAX:
            yield "…"

    def _tell_secret(self, name: str) -> bool:
        wanted = self._settings.parameters
        names = {name, name.rpartition(".")[2]}
        hidden = any(is_secret(each, wanted.redact) for each in names)
        return hidden and not any(is_secret(each, wanted.redact_allow) for each in names)

    def _ancestors(self, parent: int) -> Iterator[Process]:
        for _ in range(_PARENTS_MAX):
            found = self._parent(parent) if parent > 0 else None
            if found is None:
                return
            process, parent = found
            yield process

    def _parent(self, pid: int) -> tuple[Process, int] | None:
        # The same shell runs many an insmod: what was read of a parent a moment ago is not read again.
        now = self._clock.now().monotonic_usec
        known = self._parents.get(pid)
        if known is not None and now - known[0] < _PARENT_KEPT * 1e6:
            return known[1], known[2]
        glance = self._glance(pid)
        if glance is None:
            return None
        status = glance.status
        exe = _optional(lambda: psutil.Process(pid).exe())
        found = self._process(pid, status.comm, _arguments(glance.cmdline), exe)
        _remember(self._parents, pid, (now, found, status.parent))
        return found, status.parent

    def _login_uid(self, pid: int) -> int | None:
        text = self._root.text(self._root.proc(b"%d" % pid, b"loginuid"))
        uid = int(text) if text is not None and text.isdecimal() else _NO_LOGIN
        return None if uid == _NO_LOGIN else uid

    def _cgroup(self, pid: int) -> Cgroup | None:
        outcome = self._root.read(self._root.proc(b"%d" % pid, b"cgroup"), limit=1 << 16)
        return parse_cgroup(outcome.value) if isinstance(outcome, Read) else None


def _remember(known: OrderedDict[int, T], key: int, value: T) -> None:
    known.pop(key, None)  # the newest is last
    known[key] = value
    if len(known) > _REMEMBERED:
        known.popitem(last=False)


def _status(root: Root, tid: int) -> TaskStatus | None:
    # One read(): each call more is time in which the task may exit. What is sought is at its beginning.
    outcome = root.read_without_gil_release(root.proc(b"%d" % tid, b"status"), _STATUS_HEAD)
    try:
        return parse_task_status(outcome.value) if isinstance(outcome, Read) else None
    except ParseError:
        return None


def _is_initial_pid_namespace(root: Root) -> bool:
    status = _status(root, _KTHREADD)
    return status is not None and (status.comm, status.parent) == ("kthreadd", 0)


def _arguments(cmdline: bytes) -> tuple[str, ...]:
    # A process may write what it likes over its arguments: then there may be no NUL at all.
    return tuple(safe_text(argument) for argument in cmdline.rstrip(b"\0").split(b"\0")) if cmdline else ()


def _asked_for(arguments: Sequence[str]) -> str | None:
    if len(arguments) != 4 or tuple(arguments[1:3]) != _KERNELS_MODPROBE:
        return None
    return bounded(arguments[3], _ARGUMENT_MAX)


def _optional(ask: Callable[[], T]) -> T | None:
    # None: not ours to know (exe without the rights of ptrace), or it exited meanwhile.
    try:
        return ask()
    except (psutil.Error, OSError, ValueError):
        return None
