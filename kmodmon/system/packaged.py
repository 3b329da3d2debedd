"""Files that come with kmodmon: dashboards, rules, the systemd unit.

They lie in `grafana/` and `systemd/` of the source tree. A wheel carries them as `kmodmon/_data/`; an editable install
has no such directory and finds them beside the package.
"""

from pathlib import Path

from kmodmon.types.error import KmodmonError

_PACKAGE = Path(__file__).parent.parent


def packaged(room: str) -> Path:
    """Give the directory of packaged files called `room`; raises KmodmonError when this installation lacks it."""
    for place in (_PACKAGE / "_data" / room, _PACKAGE.parent / room):
        if place.is_dir():
            return place
    raise KmodmonError(f"{_PACKAGE}: this installation lacks the packaged {room} files; install kmodmon from a wheel")
