"""/proc/PID: the process behind a trace event, read at once, because it may exit within a millisecond.

Interfaces (fs/proc/base.c and array.c, proc(5)): status (also of a thread) and cmdline are read first; then, through
psutil, stat and exe, of the process and of its parents; loginuid, cgroup. saved_cmdlines of tracefs is read for the
name of a task that has exited.
Permissions: `exe` needs ptrace access (the same user, or CAP_SYS_PTRACE); the rest is world readable unless procfs is
mounted with hidepid. Absent: the process exited.

Facts the code below is written from:

- A trace event names a thread, by its id in the initial pid namespace. procfs of any other pid namespace (a container
  without the host's) would name other processes: it has no kthreadd with pid 2, and nothing is looked up.
- The kernel reuses pids: a process that started after the event is another one. Its name may have changed by exec since
  the event. For an exec that waited in the buffer, another name means another process.
- The record of an event has no name. The name is that of the program in the task's exec event, which is one of kmod's
  tools; else the one in status; else, for a task that exited before it was read, the one in saved_cmdlines, where that
  is beyond doubt; else it is unknown.
- modprobe as the kernel runs it for request_module() (kernel/module/kmod.c) is `modprobe -q -- ALIAS`, a child of a
  kernel thread, without a login; the process that requested the module is another one, and waits.
- Arguments are redacted by the rules of `kernel.redaction`: `sh -c "insmod x.ko psk=..."` must not bring a key into
  the history. Those of parents are not read unless actor.parents_arguments is set: a deployment that ends in modprobe
  has secrets in places that no rule knows.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import psutil

from kmodmon.config.settings import Settings
from kmodmon.events.event import Actor, Process
from kmodmon.kernel.cgroup import Cgroup, parse_cgroup
from kmodmon.kernel.redaction import redact_arguments
from kmodmon.kernel.saved_cmdlines import parse_saved_cmdlines
from kmodmon.kernel.task_status import TaskStatus, parse_task_status
from kmodmon.sources.command_line import CMDLINE_MAX, CommandLines
from kmodmon.sources.parameters import secret_names
from kmodmon.system.clock import Clock
from kmodmon.system.root import NUMBER, SMALL, Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Read
from kmodmon.types.text import bounded, safe_text

T = TypeVar("T")

_KTHREADD = 2
_NO_LOGIN = 0xFFFFFFFF
_PARENTS_MAX = 8
_ARGUMENTS_MAX, _ARGUMENT_MAX = 32, 256
_SAVED_MAX = 1 << 20  # bytes of saved_cmdlines
_STATUS_HEAD = 4096  # bytes; `Groups`, which may be long, is behind the ids
_CACHED = 512  # entries of each cache
_PARENT_KEPT = 10.0  # seconds
_TOOL_KEPT = 300.0  # seconds that a tool of kmod's may run and still be the task that was looked up
_STALE = 2.0  # seconds after which an event's task may be another one
_SLACK = 1.0  # seconds; create times count clock ticks from a boot time that is itself rounded
_KERNELS_MODPROBE = ("-q", "--")  # arguments before the alias, kernel/module/kmod.c call_modprobe()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Started:
    """A task that was looked up when it began to run a tool of kmod's."""

    actor: Actor
    requested_name: str | None  # the alias that the kernel's own modprobe loads; None: another tool
    monotonic_usec: int  # time of its exec event
    brief: bool  # the actor is what the snapshot of the exec says, and no more

    def fits(self, snapshot: "ProcSnapshot | None", monotonic_usec: int) -> bool:
        """Whether an event of this thread id is that task's; the snapshot was made after the event."""
        passed = monotonic_usec - self.monotonic_usec
        if not 0 <= passed < _TOOL_KEPT * 1e6:
            return False
        return snapshot is None or (snapshot.status.comm == self.actor.process.comm and not self.brief)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcSnapshot:
    """status and cmdline of a task, read as soon as its event was."""

    status: TaskStatus
    cmdline: bytes  # arguments, NUL after each; empty: it has none (a kernel thread), or they could not be read
    at_usec: int  # CLOCK_MONOTONIC before cmdline was read; a later event may be of another task with this id

    @property
    def of_kernel(self) -> bool:
        """Whether it is the modprobe that the kernel starts for request_module()."""
        return _requested_name(self.cmdline) is not None


class Actors:
    """Looks up processes of one host, and caches those that began to run a tool of kmod's.

    `snapshots` may be called in another thread than the other methods: it does not use the caches.
    """

    def __init__(self, root: Root, settings: Settings, clock: Clock, tracefs: bytes) -> None:
        """Look up in the procfs of `root`; `tracefs` is the directory of its saved_cmdlines."""
        psutil.PROCFS_PATH = os.fsdecode(root.procfs)
        self._root = root
        self._settings = settings
        self._clock = clock
        self._saved_cmdlines = tracefs + b"/saved_cmdlines"
        self.resolves = settings.actor.enabled and _is_initial_pid_namespace(root)
        self._started: OrderedDict[int, _Started] = OrderedDict()
        self._parents: OrderedDict[int, tuple[int, Process, int]] = OrderedDict()
        self._secrets = secret_names(settings.parameters)
        self._first_lines, self._lines = (
            CommandLines(root, at_once=frozenset({0})),
            CommandLines(root),
        )  # the first: of `snapshots`

    def snapshots(self, tids: Iterable[int]) -> Mapping[int, ProcSnapshot]:
        """Read at once what the exit of these tasks would take away; `capture` reads the rest later, one by one.

        Tasks that have exited are missing in the result, and all are where nothing can be looked up.
        """
        if not self.resolves:
            return {}
        statuses = {tid: status for tid in tids if (status := _status(self._root, tid)) is not None}
        return {tid: self._with_cmdline(status, self._first_lines) for tid, status in statuses.items()}

    def _snapshot(self, tid: int, *, arguments: bool = True) -> ProcSnapshot | None:
        status = _status(self._root, tid)
        if status is None:
            return None
        if arguments:
            return self._with_cmdline(status, self._lines)
        return ProcSnapshot(status=status, cmdline=b"", at_usec=self._clock.now().monotonic_usec)

    def _with_cmdline(self, status: TaskStatus, lines: CommandLines) -> ProcSnapshot:
        at = self._clock.now().monotonic_usec
        cmdline = lines.read(status)
        return ProcSnapshot(status=status, cmdline=cmdline, at_usec=at)

    def capture(self, tid: int, monotonic_usec: int, snapshot: ProcSnapshot | None = None) -> tuple[Actor, str | None]:
        """Look up the task of an event: the actor, and the alias to load if it is the kernel's own modprobe.

        `monotonic_usec` is the event's; `snapshot` was made after the event. An actor with `exited` has only its id
        and, if that is known, its name.
        """
        started = self._started.get(tid)
        if started is not None and started.fits(snapshot, monotonic_usec):
            return started.actor, started.requested_name
        return self._captured(tid, None, monotonic_usec, snapshot)

    def started(
        self, tid: int, comm: str | None, monotonic_usec: int, snapshot: ProcSnapshot | None, *, brief: bool
    ) -> Actor:
        """Look up a task that has just begun to run a tool of kmod's, and cache it for the events that follow.

        `comm` is its name from now on. `brief`: only what the snapshot says; if the task then does load a module, that
        event has it looked up.
        """
        if brief:
            actor, requested_name = self.brief(tid, comm, snapshot)
        else:
            actor, requested_name = self._captured(tid, comm, monotonic_usec, snapshot)
        started = _Started(
            actor=actor,
            requested_name=requested_name,
            monotonic_usec=monotonic_usec,
            brief=brief or actor.exited,
        )
        _cache(self._started, tid, started)
        return actor

    def brief(self, tid: int, comm: str | None, snapshot: ProcSnapshot | None) -> tuple[Actor, str | None]:
        """Describe a task by its snapshot alone: as `capture`, but nothing is read."""
        if snapshot is None:
            return Actor(process=Process(pid=tid, comm=comm)), None
        arguments = self._arguments(snapshot.cmdline)
        process = self._process(snapshot.status.process, comm or snapshot.status.comm, arguments, None)
        return Actor(process=process, uid=snapshot.status.uid), _requested_name(snapshot.cmdline)

    def _captured(
        self, tid: int, comm: str | None, monotonic_usec: int, snapshot: ProcSnapshot | None
    ) -> tuple[Actor, str | None]:
        resolved = self._resolve(tid, comm, monotonic_usec, snapshot) if self.resolves else None
        if resolved is not None:
            return resolved
        return Actor(process=Process(pid=tid, comm=comm or self._saved_comm(tid)), exited=self.resolves), None

    def _saved_comm(self, tid: int) -> str | None:
        outcome = self._root.read(self._saved_cmdlines, limit=_SAVED_MAX)
        return parse_saved_cmdlines(outcome.value).get(tid) if isinstance(outcome, Read) else None

    def _resolve(
        self, tid: int, comm: str | None, monotonic_usec: int, snapshot: ProcSnapshot | None
    ) -> tuple[Actor, str | None] | None:
        # None: the task exited, or its id belongs to another task now.
        if snapshot is None or snapshot.at_usec < monotonic_usec:
            snapshot = self._snapshot(tid)
        if snapshot is None:
            return None
        status, arguments = snapshot.status, self._arguments(snapshot.cmdline)
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
            pass  # it exits now: the snapshot and its parents are all that remains of it
        described = self._process(status.process, comm, arguments, exe)
        requested_name = _requested_name(snapshot.cmdline)
        return self._actor(status, described, tuple(self._ancestors(status.parent))), requested_name

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

    def _process(self, pid: int, comm: str, arguments: tuple[str, ...] | None, exe: str | None) -> Process:
        return Process(pid=pid, comm=comm, exe=safe_text(os.fsencode(exe)) if exe else None, cmdline=arguments)

    def _arguments(self, cmdline: bytes) -> tuple[str, ...] | None:
        # None: they are not wanted, could not be read, or there are none.
        if not cmdline or not self._settings.actor.arguments:
            return None
        raw = _split(cmdline)
        if len(cmdline) >= CMDLINE_MAX:
            # It was cut, and the cut word may be the head of a secret: `https://user:passwo` has no `@` any more.
            raw[-1] = b" ".join((*raw[-1].rsplit(maxsplit=1)[:-1], "…".encode()))
        # Rules need the characters themselves, not escapes, which safe text has for quotes behind a backslash.
        texts = [argument.decode("utf-8", "surrogateescape") for argument in raw]
        redacted = redact_arguments(texts, self._secrets)
        shown = [safe_text(argument.encode("utf-8", "surrogateescape")) for argument in redacted[:_ARGUMENTS_MAX]]
        more = ("…",) if len(redacted) > _ARGUMENTS_MAX else ()
        return (*(bounded(argument, _ARGUMENT_MAX) for argument in shown), *more)

    def _ancestors(self, parent: int) -> Iterator[Process]:
        for _ in range(_PARENTS_MAX):
            ancestor = self._parent(parent) if parent > 0 else None
            if ancestor is None:
                return
            process, parent = ancestor
            yield process

    def _parent(self, pid: int) -> tuple[Process, int] | None:
        # The process, and the id of its parent. One shell runs many tools, so parents are cached for a moment.
        now = self._clock.now().monotonic_usec
        cached = self._parents.get(pid)
        if cached is not None and now - cached[0] < _PARENT_KEPT * 1e6:
            return cached[1], cached[2]
        snapshot = self._snapshot(pid, arguments=self._settings.actor.parents_arguments)
        if snapshot is None:
            return None
        status = snapshot.status
        exe = _optional(lambda: psutil.Process(pid).exe())
        process = self._process(pid, status.comm, self._arguments(snapshot.cmdline), exe)
        _cache(self._parents, pid, (now, process, status.parent))
        return process, status.parent

    def _login_uid(self, pid: int) -> int | None:
        text = self._root.text(self._root.proc(b"%d" % pid, b"loginuid"), NUMBER)
        uid = int(text) if text is not None and text.isdecimal() else _NO_LOGIN
        return None if uid == _NO_LOGIN else uid

    def _cgroup(self, pid: int) -> Cgroup | None:
        outcome = self._root.read(self._root.proc(b"%d" % pid, b"cgroup"), SMALL)
        return parse_cgroup(outcome.value) if isinstance(outcome, Read) else None


def _cache(cache: OrderedDict[int, T], key: int, value: T) -> None:
    cache.pop(key, None)  # the newest is last
    cache[key] = value
    if len(cache) > _CACHED:
        cache.popitem(last=False)


def _status(root: Root, tid: int) -> TaskStatus | None:
    # One read(): the task may exit during each further call, and the lines that are needed come first.
    outcome = root.read_without_gil_release(root.proc(b"%d" % tid, b"status"), _STATUS_HEAD)
    try:
        return parse_task_status(outcome.value) if isinstance(outcome, Read) else None
    except ParseError:
        return None


def _is_initial_pid_namespace(root: Root) -> bool:
    status = _status(root, _KTHREADD)
    return status is not None and (status.comm, status.parent) == ("kthreadd", 0)


def _split(cmdline: bytes) -> list[bytes]:
    # A process may overwrite its arguments with anything: there may be no NUL at all.
    return cmdline.rstrip(b"\0").split(b"\0") if cmdline else []


def _requested_name(cmdline: bytes) -> str | None:
    arguments = [safe_text(argument) for argument in _split(cmdline)]
    if len(arguments) != 4 or tuple(arguments[1:3]) != _KERNELS_MODPROBE:
        return None
    return bounded(arguments[3], _ARGUMENT_MAX)


def _optional(ask: Callable[[], T]) -> T | None:
    # None: not permitted (exe without ptrace access), or the process exited meanwhile.
    try:
        return ask()
    except (psutil.Error, OSError, ValueError):
        return None
