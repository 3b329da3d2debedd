"""Files that come with kmodmon: dashboards, rules, the systemd unit.

The source tree has them in `grafana/` and `systemd/`, a wheel in `kmodmon/_data/`; an editable installation has no
`_data` and takes them from the source tree beside the package.
"""

from pathlib import Path

from kmodmon.types.error import KmodmonError

_PACKAGE = Path(__file__).parent.parent


def packaged(room: str) -> Path:
    """Give the directory of packaged files called `room`; raises KmodmonError when this installation lacks it."""
    for directory in (_PACKAGE / "_data" / room, _PACKAGE.parent / room):
        if directory.is_dir():
            return directory
    raise KmodmonError(f"{_PACKAGE}: this installation lacks the packaged {room} files; install kmodmon from a wheel")
