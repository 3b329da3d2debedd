"""Merges the lines that the loader prints about one refused module into one refusal.

kernel/module/main.c simplify_symbols() goes on after a symbol that it cannot resolve, so a module that needs thirty
unknown symbols gives thirty lines. A more exact line (`disagrees about version of symbol`, `from namespace`, `gave up
waiting for init of module`) is followed by `Unknown symbol` for the same symbol. So the first line has the reason. A
line with the same wording and symbol as an earlier one, or that comes a second later, belongs to another attempt.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.report import KernelReport, LoadFailure

ATTEMPT_USEC = 1_000_000
MAX_MODULES = 64
MAX_LINES = 256  # of one attempt that are remembered
_OF_SYMBOLS = frozenset(
    {
        LoadFailure.UNKNOWN_SYMBOL,
        LoadFailure.GPL_ONLY_SYMBOL,
        LoadFailure.SYMBOL_VERSION,
        LoadFailure.NAMESPACE,
        LoadFailure.TIMEOUT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt to load one module."""

    last_usec: int  # of its newest line, printk's clock; 0: a log without stamps
    lines: frozenset[tuple[str, str | None]]  # signature and symbol of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The newest attempt of each module, the one with the oldest line first; at most MAX_MODULES."""

    by_module: Mapping[str, Attempt] = field(default_factory=lambda: MappingProxyType({}))


NO_ATTEMPTS = Attempts()


def reported_once(attempts: Attempts, refusals: Iterable[KernelReport]) -> tuple[Attempts, tuple[KernelReport, ...]]:
    """Return the refusals that begin an attempt, in order; the others are further lines of the same attempt."""
    by_module = dict(attempts.by_module)
    first_lines: list[KernelReport] = []
    changed = False
    for refusal in refusals:
        if refusal.reason not in _OF_SYMBOLS or refusal.module is None:
            first_lines.append(refusal)
            continue
        is_first, attempt = _add_line(by_module.pop(refusal.module, None), refusal)
        by_module[refusal.module] = attempt
        changed = True
        if is_first:
            first_lines.append(refusal)
        if len(by_module) > MAX_MODULES:
            del by_module[next(iter(by_module))]
    attempts = replace(attempts, by_module=MappingProxyType(by_module)) if changed else attempts
    return attempts, tuple(first_lines)


def _add_line(attempt: Attempt | None, refusal: KernelReport) -> tuple[bool, Attempt]:
    now, line = refusal.printk_usec or 0, (refusal.signature, refusal.symbol)
    if attempt is None or line in attempt.lines or not 0 <= now - attempt.last_usec < ATTEMPT_USEC:
        return True, Attempt(last_usec=now, lines=frozenset({line}))
    lines = attempt.lines if len(attempt.lines) >= MAX_LINES else attempt.lines | {line}
    return False, Attempt(last_usec=now, lines=lines)
