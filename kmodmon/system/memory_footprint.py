"""What the C library and the kernel are asked for so that the daemon stays small.

- glibc's malloc gives each thread an arena of its own, which seldom gives back what it once held (mallopt(3)). A dozen
  threads that wait most of the time share one as well: 1 MiB less.
- Where transparent huge pages are `always` (Debian's default) the interpreter's arenas are backed 2 MiB at a time, used
  or not (PR_SET_THP_DISABLE in prctl(2); since Linux 3.15).
"""

import ctypes

_M_ARENA_MAX = -8  # <malloc.h>
_PR_SET_THP_DISABLE = 41  # <linux/prctl.h>


def limit_memory() -> None:
    """Make it so for threads and memory to come; what this C library or kernel does not know stays as it is."""
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    except (AttributeError, OSError):  # another C library: there is nothing to bound, or it cannot be asked
        return
