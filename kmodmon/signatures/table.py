"""Every signature, in the order in which they are tried, and the search through them."""

from kmodmon.signatures import (
    driver,
    filesystem,
    hardware,
    loader,
    lockdep,
    lockdown,
    lockup,
    memory,
    oops,
    panic,
    sanitizer,
    storage,
    warning,
)
from kmodmon.signatures.signature import Match, Signature

# The specific before the general: a WARN raised by lib/refcount.c is a refcount report; `[#1]` alone is the last resort.
THEMES = (
    sanitizer,
    lockdep,
    lockup,
    memory,
    hardware,
    storage,
    filesystem,
    panic,
    oops,
    warning,
    driver,
    lockdown,
    loader,
)

SIGNATURES: tuple[Signature, ...] = tuple(signature for theme in THEMES for signature in theme.SIGNATURES)


def _cover(literals: set[str]) -> tuple[str, ...]:
    # A literal that holds another one adds nothing to the filter: whatever contains it contains the other.
    shortest_first = sorted(literals, key=lambda literal: (len(literal), literal))
    kept: list[str] = []
    for literal in shortest_first:
        if not any(known in literal for known in kept):
            kept.append(literal)
    return tuple(kept)


LITERALS: tuple[str, ...] = _cover({literal for signature in SIGNATURES for literal in signature.contains})

_BY_LITERAL: tuple[tuple[str, tuple[int, ...]], ...] = tuple(
    (kept, tuple(i for i, signature in enumerate(SIGNATURES) if any(kept in literal for literal in signature.contains)))
    for kept in LITERALS
)

# `COMM[PID]: segfault at` and `traps: COMM[PID] ...` are the kernel's words on user space, and the name is the user's.
_USER_FAULT = (
    "]: segfault at ",
    "] trap ",
    "] general protection ip:",
    "]: unhandled ",
    "] general protection fault ip:",
)


def match_naive(text: str) -> Match | None:
    """Try every signature in turn: the definition that :func:`match` must agree with."""
    for signature in SIGNATURES:
        if any(literal in text for literal in signature.contains):
            found = signature.compiled.match(text)
            if found is not None:
                return None if _about_user_space(text) else Match(signature, found.groupdict())
    return None


def match(text: str) -> Match | None:
    """Give the first signature that knows `text`; None for all the rest of what a kernel says."""
    candidates = {index for literal, indices in _BY_LITERAL if literal in text for index in indices}
    for index in sorted(candidates):
        signature = SIGNATURES[index]
        found = signature.compiled.match(text) if any(literal in text for literal in signature.contains) else None
        if found is not None:
            return None if _about_user_space(text) else Match(signature, found.groupdict())
    return None


def _about_user_space(text: str) -> bool:
    return any(phrase in text for phrase in _USER_FAULT)
