"""Lines of the kernel log without addresses and registers: what `dmesg_restrict` and `kptr_restrict` keep for root.

Masked: numbers that can be an address (%px, %lx, hashed %p), dumps of registers (show_regs(), __show_regs() of each
architecture), page table entries, stack dumps, and `Code:` lines, whose bytes contain addresses. Kept: symbol+offset,
offsets and sizes, error codes of four digits, and whatever is not hexadecimal.
"""

import re

MASKED = "<hidden>"

_ADDRESSES = re.compile(
    r"""
    (?<![\w./+-]) 0x[0-9a-fA-F]{5,}                     # with a prefix, and no offset or size of a symbol
    | (?<=[+/-]) 0x[0-9a-fA-F]{8,}                      # too large for an offset: an address as well
    | (?<!\w) [0-9a-fA-F]{16} (?!\w)                    # %px, %016lx, %p
    | (?<![\w.-]) (?=[0-9a-fA-F]*[0-9]) (?=[0-9]*[a-fA-F]|0) [0-9a-fA-F]{8,15} (?![\w-])  # %lx, 32-bit addresses
    """,
    re.VERBOSE,
)
_REGISTER = re.compile(
    # `RAX: 0000...`, `RSP: 0018:ffff...`, `eax: 12345678`, `x29: ffff...`, `r10 : c15e3f48`, `CR2: ...`, `ESR = 0x...`
    r"(?<![\w.])(?P<name>[A-Za-z][A-Za-z0-9_]{1,11})(?P<mark> ?[:=] ?)(?P<segment>[0-9a-fA-F]{4}:)?"
    r"(?:0x)?[0-9a-fA-F]{8,16}(?![\w+/.])"
)
_TABLE_ENTRY = re.compile(r"(?<!\w)(?P<name>\*?(?i:PGD|P4D|PUD|PMD|PTE))(?P<mark>[ =]+)[0-9a-fA-F]{2,}")
_NUMBERED = re.compile(r"\$ ?\d{1,2} {0,4}:(?: [0-9a-fA-F]{8,16})+")  # MIPS: four registers on a line
_BYTES = re.compile(r"(?P<name>(?<!\w)(?:Code|Stack|Call Trace raw|raw|Insn): ?)(?=\S*[0-9a-fA-F]{2}).*", re.DOTALL)


def masked(line: str) -> str:
    """Replace addresses and registers in one line of the kernel log by MASKED; any other text stays as it is."""
    if not any(letter in line for letter in "0123456789"):
        return line
    line = _BYTES.sub(rf"\g<name>{MASKED}", line)
    line = _NUMBERED.sub(MASKED, line)
    line = _TABLE_ENTRY.sub(rf"\g<name>\g<mark>{MASKED}", line)
    line = _REGISTER.sub(_without_value, line)
    return _ADDRESSES.sub(MASKED, line)


def _without_value(register: re.Match[str]) -> str:
    return f"{register['name']}{register['mark']}{register['segment'] or ''}{MASKED}"
