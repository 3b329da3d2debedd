"""What keeps the memory of the daemon small: settings of the C library and the kernel, and classes that are freed.

- glibc's malloc gives each thread an arena of its own, which seldom returns freed memory (M_ARENA_MAX in mallopt(3)).
  With one arena for all threads, most of which wait, the daemon takes 1 MiB less.
- Where transparent huge pages are `always` (Debian's default), the kernel backs the interpreter's arenas with 2 MiB at
  a time, whether they are used or not (PR_SET_THP_DISABLE in prctl(2); since Linux 3.15).
- `dataclass(frozen=True, slots=True)` makes each class twice, and in CPython 3.11 the methods of the second keep the
  first, of which nothing is used: 0.7 MiB for all of kmodmon's.
"""

import ctypes
import dataclasses
import gc
from types import FunctionType

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


def release_unslotted_classes() -> None:
    """Free the classes that `dataclass` replaced with a slotted one, of all that was imported up to now."""
    _forget_unslotted_classes()
    gc.collect()


def _forget_unslotted_classes() -> None:
    # A function of its own: what its variables refer to would not be freed.
    for cls in gc.get_objects():
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and "__slots__" in vars(cls)):
            continue
        for method in (vars(cls).get("__setattr__"), vars(cls).get("__delattr__")):
            for cell in (method.__closure__ or ()) if isinstance(method, FunctionType) else ():
                if _is_replaced(cell.cell_contents, cls):
                    cell.cell_contents = cls


def _is_replaced(old: object, new: type) -> bool:
    names = (new.__module__, new.__qualname__)
    return isinstance(old, type) and old is not new and (old.__module__, old.__qualname__) == names
