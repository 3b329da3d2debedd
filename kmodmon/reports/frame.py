"""Parses the functions in the lines of a report: call trace entries and instruction pointers of every architecture.

Kernel files: lib/vsprintf.c (%pS, %pB), arch/*/kernel/{dumpstack,stacktrace,traps,process}.c. A frame is a symbol with
offset and size, `func+0x12/0x34 [mod]`, behind up to three bracketed addresses. Wordings:

- x86 writes `? ` before an address that it only found on the stack, powerpc `(unreliable)` behind it. arm64 (since
  about 6.13) writes marks such as `(P)` behind a frame for where it comes from; they are no module.
- Kernels with CONFIG_STACKTRACE_BUILD_ID (since 5.14) write `[mod 40-hex-digits]`. 2.6 x86-64 wrote
  `:mod:func+0x12/0x34`.
- 32-bit arm writes `(callee) from [<address>] (caller+0x12/0x34)`: the caller is what the entry adds.
- scripts/decode_stacktrace.sh puts the place in the source instead of the offset, `func (file.c:123) mod`. syzkaller
  puts it behind the symbol, `func+0x12/0x34 file.c:123`, and `func file.c:123 [inline]` for an inlined function.
- `RIP: 0033:` and the like are addresses in user space: the segment is the user's.
"""

import re
from dataclasses import dataclass

from kmodmon.events.report import Frame

_SYM = r"(?P<function>\.?[A-Za-z_$][\w.$:<>]*|\.[A-Za-z_][\w.$]*)"
_AT = r"\+(?P<offset>0x[0-9a-f]+)/(?P<size>0x[0-9a-f]+)"
_MOD = r"(?:\s+\[(?P<module>[\w-]+)(?: [0-9a-f]{8,})?\])?"
_ADDRESS = r"(?:\(?\[?[\[<]+(?:0x)?[0-9a-f]{4,16}>?\]+\)?:?\s*|\[\s*\d*\]\s+){0,3}"

_FRAME = re.compile(
    rf"\s*(?:\[\s*<?\([^)]*\)>?\]\s*)?(?:#\d+:?\s+)?{_ADDRESS}(?P<weak>\? "
    rf")?\(?\s*(?::(?P<oldmodule>[\w-]+):)?{_SYM}{_AT}{_MOD}"
)
_ARM = re.compile(
    rf"\s*(?:\[<[0-9a-f]+>\]\s+)?\(?[\w.$+/]+(?: \[[\w-]+\])?\)? from (?:\[<[0-9a-f]+>\] )?\(?{_SYM}{_AT}{_MOD}"
)
_ARM_FIRST = re.compile(rf"\s*(?:\[<[0-9a-f]+>\]\s+)?\(?{_SYM}(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?{_MOD}\)? from ")
_DECODED = re.compile(
    rf"\s*(?P<weak>\? )?{_SYM} \((?:[\w.+~-]*/)*[\w.+-]+\.(?:c|h|S|rs):\d+(?: \(discriminator \d+\))?[^)]*\)"
    r"(?: (?P<module>[\w-]+))?\s*$"
)
_INLINE = re.compile(r"\s*(?P<function>[A-Za-z_][\w.$]*) (?:\S+\.(?:c|h|S|rs):\d+ )?\[inline\]")

_POINTER = re.compile(
    r"\s*(?:(?:E?IP|PC|pc|ip) is at |[RE]?IP: ?|RIP  |caller is |[Pp][Cc]\s*:\s*|epc\s*:\s*|s?epc\s*:\s*|"
    r"ERA\s*:\s*|era\s*:\s*|NIP \s*|Krnl PSW\s*:\s*|TPC: <|PC: <?|IAOQ\[0\]: |IIR: |"
    r"\[ERET \]: |ECR |kernel pc |elr\s*:\s*|EIP; |>>EIP; )(?P<rest>.*)"
)
_POINTED = re.compile(
    r"(?:(?:00)?(?P<segment>[0-9a-f]{2,4}):)?(?:\s*\[?<?(?:0x)?[0-9a-f]{6,16}>?\]?:?\s*){0,3}(?:[0-9a-f]{8,"
    rf"16}}\s+)?\(?<?(?::(?P<oldmodule>[\w-]+):)?{_SYM}{_AT}{_MOD}"
)
_USER_SEGMENTS = frozenset({"33", "0033", "23", "0023", "2b", "73", "0073", "1b"})


def parse_frame(text: str) -> Frame | None:
    """Parse a call trace entry; None when `text` is no such entry."""
    match = _FRAME.match(text) or _ARM.match(text) or _DECODED.match(text)
    return None if match is None else _frame(match, text)


def first_of_arm(text: str) -> Frame | None:
    """Parse the callee of an arm entry `(callee) from (caller)`, which only the first entry of a trace adds."""
    match = _ARM_FIRST.match(text)
    return None if match is None else Frame(function=_clean(match["function"]), module=match["module"])


def parse_inline(text: str) -> str | None:
    """Parse an `[inline]` entry of a decoded trace; return its function, None when `text` is no such entry."""
    match = _INLINE.match(text)
    return None if match is None else match["function"]


def _frame(match: re.Match[str], text: str) -> Frame:
    groups = match.groupdict()
    offset, size = groups.get("offset"), groups.get("size")
    return Frame(
        function=_clean(match["function"]),
        offset=None if offset is None else int(offset, 16),
        size=None if size is None else int(size, 16),
        module=groups.get("module") or groups.get("oldmodule"),
        reliable=not groups.get("weak") and "(unreliable)" not in text[match.end() :],
    )


def _clean(function: str) -> str:
    return function.lstrip(".")  # powerpc ELFv1 marks code with a leading dot


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionPointer:
    """Where the processor was."""

    frame: Frame | None  # None: an address without a symbol, or in user space
    user: bool  # the code segment is that of user space


def parse_pointer(text: str) -> InstructionPointer | None:
    """Parse the line with the instruction pointer; None when `text` is no such line."""
    match = _POINTER.match(text)
    if match is None:
        return None
    rest = match["rest"]
    symbol = _POINTED.match(rest)
    segment = rest[:5].split(":", 1)[0].strip() if ":" in rest[:5] else None
    user = segment in _USER_SEGMENTS
    return InstructionPointer(frame=None if symbol is None or user else _frame(symbol, rest), user=user)
