"""/proc/PID/cgroup: which systemd unit and which container a process belongs to.

Interface: kernel/cgroup/cgroup.c `proc_cgroup_show` (cgroups(7)); world readable, absent without CONFIG_CGROUPS. A line
is ``HIERARCHY:CONTROLLERS:PATH``; cgroup v2 is ``0::PATH``, systemd's own v1 hierarchy is ``1:name=systemd:PATH``.

Facts the code below is written from:

- A path has any bytes but NUL and newline. `` (deleted)`` follows the path of a group that was removed.
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
    """Where a process belongs. All texts are safe texts; None: it belongs to none, or the path does not tell."""

    path: str
    unit: str | None
    container: str | None


def parse_cgroup(raw: bytes) -> Cgroup | None:
    """Read /proc/PID/cgroup; None when no line of it names a path. Never fails."""
    by_rank: list[tuple[int, str]] = []
    for line in raw.splitlines():
        found = _LINE.fullmatch(line)
        if found is not None:
            path = safe_text(found[3].removesuffix(b" (deleted)"))
            by_rank.append((_rank(found[1], found[2], path), path))
    if not by_rank:
        return None
    path = min(by_rank, key=lambda ranked: ranked[0])[1]
    containers = (_container(each) for _, each in sorted(by_rank))
    return Cgroup(
        path=bounded(path, _TEXT_MAX),
        unit=_unit(path),
        container=next((each for each in containers if each is not None), None),
    )


def _rank(hierarchy: bytes, controllers: bytes, path: str) -> int:
    # On a hybrid host v2 may be there and hold nothing; systemd's own tree then knows better.
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
