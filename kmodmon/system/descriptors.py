"""A process that has no file descriptor left learns nothing of a file: EMFILE and ENFILE are about the process."""

import errno

_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE})


def raise_if_none_left(error: BaseException | None) -> None:
    """Raise the error again when it says that no file descriptor is left."""
    if isinstance(error, OSError) and error.errno in _NONE_LEFT:
        raise error
