"""/proc/PID/cgroup: which systemd unit and which container a process belongs to.

Interface: kernel/cgroup/cgroup.c `proc_cgroup_show` (cgroups(7)); world readable unless procfs is mounted with hidepid.
Absent: kernel without CONFIG_CGROUPS, or the process exited. A line is ``HIERARCHY:CONTROLLERS:PATH``; cgroup v2 is
``0::PATH``, systemd's own v1 hierarchy is ``1:name=systemd:PATH``.

Facts the code below is written from:

- A path holds any byte except NUL and newline. `` (deleted)`` follows the path of a group that was removed.
- systemd names units as directories: the last one that ends in a unit's suffix is the unit, a slice only if there is
  nothing else. `session-3.scope` is a login session, `user@1000.service` a user's manager with units below it.
- Container engines put an id of 64 hexadecimal digits into the path: `/docker/ID`, `docker-ID.scope`,
  `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`, `/kubepods/.../ID`. systemd-nspawn uses
  `machine.slice/...`, LXC `/lxc/NAME` and `/lxc.payload.NAME`.
"""

import re
from dataclasses import dataclass

from kmodmon.types.text import bounded, safe_text

_TEXT_MAX = 512  # characters of a path that are kept
_LINE = re.compile(rb"(\d{1,10}):([^:]*):(.*)")
_UNIT = re.compile(r"[^/]+\.(?:service|scope|socket|mount|swap|timer)")
_SLICE = re.compile(r"[^/]+\.slice")
_CONTAINER = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?=\.scope|[/.]|$)")
_NAMED = re.compile(r"/lxc(?:/|\.payload[./])([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """The cgroup of a process. All texts are safe texts of at most 512 characters."""

    path: str  # of the most specific hierarchy, see _rank()
    unit: str | None  # systemd unit; None: no part of the path is named like a unit
    container: str | None  # id of 64 hexadecimal digits, or LXC's name; None: no known container engine made the path


def parse_cgroup(raw: bytes) -> Cgroup | None:
    """Read /proc/PID/cgroup; None when no line of it names a path. Raises nothing."""
    by_rank: list[tuple[int, str]] = []
    for line in raw.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None:
            path = safe_text(match[3].removesuffix(b" (deleted)"))
            by_rank.append((_rank(match[1], match[2], path), path))
    if not by_rank:
        return None
    path = min(by_rank, key=lambda ranked: ranked[0])[1]
    containers = (_container(name) for _, name in sorted(by_rank))
    return Cgroup(
        path=bounded(path, _TEXT_MAX),
        unit=_unit(path),
        container=next((name for name in containers if name is not None), None),
    )


def _rank(hierarchy: bytes, controllers: bytes, path: str) -> int:
    # A hybrid host mounts cgroup v2 but may keep its processes in v1: there the v2 path is `/`, and systemd's own v1
    # hierarchy names the unit. The lowest rank is used.
    if path == "/":
        return 3
    if hierarchy == b"0" and not controllers:
        return 0
    return 1 if controllers == b"name=systemd" else 2


def _unit(path: str) -> str | None:
    units = _UNIT.findall(path) or _SLICE.findall(path)
    return bounded(units[-1], _TEXT_MAX) if units else None


def _container(path: str) -> str | None:
    ids = _CONTAINER.findall(path) or _NAMED.findall(path)
    return bounded(ids[-1], _TEXT_MAX) if ids else None
