"""The C library's allocator: one arena for all threads.

glibc's malloc gives each thread an arena of its own, which seldom gives back what it once held (mallopt(3)). Our dozen
threads wait most of the time, and the interpreter lets one of them run at once: one arena serves them as well, in a
MiB less. Other C libraries have no arenas.
"""

import ctypes

_M_ARENA_MAX = -8  # <malloc.h>


def share_one_arena() -> bool:
    """Make it so for threads that are yet to start; False where the C library knows nothing of that."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))
    except (AttributeError, OSError):
        return False
