"""Settings of the C library and the kernel that keep the memory of the daemon small.

- glibc's malloc gives each thread an arena of its own, which seldom returns freed memory (M_ARENA_MAX in mallopt(3)).
  With one arena for all threads, most of which wait, the daemon takes 1 MiB less.
- Where transparent huge pages are `always` (Debian's default), the kernel backs the interpreter's arenas with 2 MiB at
  a time, whether they are used or not (PR_SET_THP_DISABLE in prctl(2); since Linux 3.15).
"""

import ctypes

_M_ARENA_MAX = -8  # <malloc.h>
_PR_SET_THP_DISABLE = 41  # <linux/prctl.h>


def limit_memory() -> None:
    """Apply the settings, for memory allocated from now on; one that the C library or kernel lacks is left out."""
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    except (AttributeError, OSError):  # a C library other than glibc
        return
