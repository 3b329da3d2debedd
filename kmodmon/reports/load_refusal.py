"""One refusal of a module is often several lines of the loader: they are told as one.

kernel/module/main.c simplify_symbols() goes on after a symbol that it cannot resolve, so a module that needs thirty
unknown symbols gives thirty lines; and the more exact words (`disagrees about version of symbol`, `from namespace`,
`gave up waiting for init of module`) are followed by `Unknown symbol` for the same one. The first line tells the
reason. A line that was said before about the same symbol, or that comes a second later, is another attempt.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kmodmon.events.report import KernelReport, LoadFailure

ATTEMPT_USEC = 1_000_000
MAX_MODULES = 64
MAX_SAID = 256
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
    """What was said about the load of one module that goes on."""

    heard_usec: int
    said: frozenset[tuple[str, str | None]]  # signature and symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Loads whose symbols are being complained of, by module, the oldest first."""

    of: Mapping[str, Attempt] = field(default_factory=lambda: MappingProxyType({}))


NO_ATTEMPTS = Attempts()


def reported_once(attempts: Attempts, refusals: Iterable[KernelReport]) -> tuple[Attempts, tuple[KernelReport, ...]]:
    """Give the refusals that begin an attempt, in order; the others are more words about it."""
    of = dict(attempts.of)
    told: list[KernelReport] = []
    changed = False
    for refusal in refusals:
        if refusal.reason not in _OF_SYMBOLS or refusal.module is None:
            told.append(refusal)
            continue
        begun, attempt = _heard(of.pop(refusal.module, None), refusal)
        of[refusal.module] = attempt
        changed = True
        if begun:
            told.append(refusal)
        if len(of) > MAX_MODULES:
            del of[next(iter(of))]
    return (replace(attempts, of=MappingProxyType(of)) if changed else attempts), tuple(told)


def _heard(attempt: Attempt | None, refusal: KernelReport) -> tuple[bool, Attempt]:
    now, words = refusal.printk_usec or 0, (refusal.signature, refusal.symbol)
    if attempt is None or words in attempt.said or not 0 <= now - attempt.heard_usec < ATTEMPT_USEC:
        return True, Attempt(heard_usec=now, said=frozenset({words}))
    said = attempt.said if len(attempt.said) >= MAX_SAID else attempt.said | {words}
    return False, Attempt(heard_usec=now, said=said)
