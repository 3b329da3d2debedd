"""The capabilities of this process (capabilities(7)): the programs that it starts get none of them."""

import ctypes

_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4


def keep_to_this_process() -> bool:
    """Clear the ambient set of the calling thread, and so of what it starts; False: the kernel has no such set (< 4.3).

    The capabilities that the process has it keeps: only execve(2) takes them from that set.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    result: int = prctl(_PR_CAP_AMBIENT, *(ctypes.c_ulong(value) for value in (_CLEAR_ALL, 0, 0, 0)))
    return result == 0
