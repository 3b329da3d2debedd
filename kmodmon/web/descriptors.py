"""A file descriptor that is kept for the moment when the process has no other."""

import os


class SpareDescriptor:
    """Holds a descriptor, so that one connection can be accepted and answered when no other descriptor is left."""

    def __init__(self) -> None:
        self._fd: int | None = None

    def keep(self) -> None:
        """Take a descriptor, unless one is held or none is to be had."""
        if self._fd is None:
            try:
                self._fd = os.open("/", os.O_PATH | os.O_CLOEXEC)
            except OSError:
                return  # still none: it is tried again when the next connection has ended

    def release(self) -> bool:
        """Give the descriptor up; False: none was held."""
        if self._fd is None:
            return False
        fd, self._fd = self._fd, None
        os.close(fd)
        return True

    def close(self) -> None:
        """Give the descriptor up for good."""
        self.release()
