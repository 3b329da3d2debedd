"""The version string of kernel and modules (include/linux/vermagic.h): `RELEASE SMP preempt mod_unload modversions `.

`same_magic()` in kernel/module/version.c decides; with CRCs in the module only what follows the first space counts.
"""


def same_magic(module: str, kernel: str, *, has_crcs: bool) -> bool:
    """Whether the kernel takes a module of this version string."""
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
    """In words, what the module was built for and this kernel is not; "" when the strings are equal."""
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
