"""All signatures, in the order in which they are tried, and the search for the one that a line matches.

The search goes by words: runs of letters, digits left out. Each literal of each signature is indexed by its longest
word, so that a line is tried only against the signatures that share a word with it; a line without such a word matches
none. The words of a line do not depend on its digits, which the prefilter relies on.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from kmodmon.reports.signatures import (
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
from kmodmon.reports.signatures.signature import LogSignature, SignatureMatch
from kmodmon.reports.signatures.task_line import without_name

# The specific before the general: a WARN raised by lib/refcount.c is a refcount report, `[#1]` alone the last resort.
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

SIGNATURES: tuple[LogSignature, ...] = tuple(signature for theme in THEMES for signature in theme.SIGNATURES)

_WORDS = str.maketrans(
    {chr(code): "" if chr(code).isdigit() else " " for code in range(128) if not chr(code).isalpha()}
)


def words(text: str) -> set[str]:
    """Return the words of a line: what is left between punctuation and blanks when digits are deleted."""
    return set(text.translate(_WORDS).split())


# Words that every boot prints: a literal is indexed by one of them only when it has no other word.
_COMMON_WORDS = """
at add allocating architecture atomic bus by bytes card check command context data detected dev device disabled
driver error event failed filesystem for found freed from fs handler has hash in inconsistent integrity interrupt
irqs is kernel key list lock mapper memory mode module modprobe modules node not o of off offset on only or page
percpu pointer process protection read received register registered ring rcu size space stack state status support
supported symbol system table task the timeout to trusted unit user using verification version with x O ACPI CPU
Dentry EXT Interrupt Kernel Machine Memory Module NMI PCI Platform Quota SLUB
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def _key(literal: str) -> str | None:
    # `nable to handle` is for `Unable` and `unable`: its first word is not a whole word.
    cut = literal[:1].islower()
    literal_words = literal.translate(_WORDS).split()
    trusted = literal_words[1:] if cut and len(literal_words) > 1 else literal_words
    return max(trusted, key=lambda word: (word not in _COMMON, len(word), word)) if trusted else None


def _indexed(keyed: Iterable[tuple[str | None, int]]) -> Mapping[str, tuple[int, ...]]:
    indices_by_key: dict[str, list[int]] = {}
    for key, index in keyed:
        if key is not None and index not in indices_by_key.setdefault(key, []):
            indices_by_key[key].append(index)
    return MappingProxyType({key: tuple(indices) for key, indices in indices_by_key.items()})


_LITERALS = tuple((literal, index) for index, signature in enumerate(SIGNATURES) for literal in signature.contains)
BY_WORD: Mapping[str, tuple[int, ...]] = _indexed((_key(literal), index) for literal, index in _LITERALS)
# Literals without a letter, such as `[#`, have no word to be indexed by.
BY_MARK: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        mark: tuple(index for literal, index in _LITERALS if literal == mark)
        for mark in {literal for literal, _ in _LITERALS if _key(literal) is None}
    }
)
_KEYS = frozenset(BY_WORD)
_KEYED = tuple(tuple((literal, _key(literal)) for literal in signature.contains) for signature in SIGNATURES)


def match_line(text: str) -> SignatureMatch | None:
    """Return the first signature that `text` matches; None when none does, or only by a name that a user chose."""
    return _believed(text, search(text), search)


def match_line_naive(text: str) -> SignatureMatch | None:
    """Try every signature in turn: the definition of :func:`match_line`."""
    return _believed(text, _search_all(text), _search_all)


def judge_line(text: str) -> tuple[SignatureMatch | None, SignatureMatch | None]:
    """Return what :func:`match_line` does, and the signature that `text` matches only by a name that a user chose."""
    match = search(text)
    believed = _believed(text, match, search)
    same = match is None or (believed is not None and believed.signature is match.signature)
    return believed, None if same else match


def search(text: str) -> SignatureMatch | None:
    """Return the first signature that `text` matches, whoever chose its words."""
    line_words = words(text) & _KEYS
    candidates = {index for word in line_words for index in BY_WORD[word]}
    for mark, indices in BY_MARK.items():
        if mark in text:
            candidates.update(indices)
    return _first(text, line_words, sorted(candidates)) if candidates else None


def _search_all(text: str) -> SignatureMatch | None:
    return _first(text, words(text), range(len(SIGNATURES)))


def _believed(
    text: str, match: SignatureMatch | None, search_in: Callable[[str], SignatureMatch | None]
) -> SignatureMatch | None:
    nameless = None if match is None else without_name(text)
    if nameless is None:
        return match
    believed = search_in(nameless)
    if believed is None:
        return None
    whole = believed.signature.compiled.match(text)  # with the name that the task has
    return None if whole is None else SignatureMatch(believed.signature, whole.groupdict())


def _first(text: str, line_words: set[str], candidates: Iterable[int]) -> SignatureMatch | None:
    for index in candidates:
        signature = SIGNATURES[index]
        if any(literal in text and (key is None or key in line_words) for literal, key in _KEYED[index]):
            match = signature.compiled.match(text)
            if match is not None:
                return SignatureMatch(signature, match.groupdict())
    return None
