"""The version string of kernel and modules: `RELEASE SMP preempt mod_unload modversions `, with a trailing space.

Interface: include/linux/vermagic.h; `vermagic=` in modinfo. `same_magic()` in kernel/module/version.c compares the
strings; for a module with CRCs only the text behind the first space counts.
"""


def same_magic(module: str, kernel: str, *, has_crcs: bool) -> bool:
    """Whether the kernel accepts a module of this version string."""
    if has_crcs:
        return _flags(module) == _flags(kernel)
    return module == kernel


def release(vermagic: str) -> str:
    """The kernel release a version string names."""
    return vermagic.partition(" ")[0]


def flags(vermagic: str) -> frozenset[str]:
    """The words after the release, such as SMP, preempt, modversions."""
    return frozenset(vermagic.split(" ")[1:]) - {""}


def explain_difference(module: str, kernel: str) -> str:
    """Describe how the module's version string differs from the kernel's; "" when they are equal."""
    parts = []
    if release(module) != release(kernel):
        parts.append(f"built for {release(module)}, this kernel is {release(kernel)}")
    if lacking := flags(kernel) - flags(module):
        parts.append(f"built without {', '.join(sorted(lacking))}")
    if extra := flags(module) - flags(kernel):
        parts.append(f"built with {', '.join(sorted(extra))}")
    return "; ".join(parts) or ("" if module == kernel else "the same words in another order or spacing")


def _flags(vermagic: str) -> str:
    return vermagic[len(release(vermagic)) :]
