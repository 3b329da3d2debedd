"""/proc/cmdline: the options about modules that the boot loader passed to the kernel.

Interface: fs/proc/cmdline.c; lib/cmdline.c `next_arg` and kernel/params.c `parse_args` split it
(Documentation/admin-guide/kernel-parameters.rst). World readable. Absent: only where procfs is not mounted.

Facts the code below is written from:

- Double quotes, anywhere in a word, keep spaces together; those around a value or a whole word are dropped. `-` and `_`
  are the same in names. A bare `--` ends the kernel's part; init gets the rest.
- The last occurrence of most options wins. `lockdown=` only raises the level, `module.sig_enforce` only switches on,
  and `modprobe.blacklist=` is read by kmod, which joins all lists.
- A boolean without a value is true (`param_set_bool`).
"""

from dataclasses import dataclass

from kmodmon.kernel.lockdown import CONFIDENTIALITY, INTEGRITY
from kmodmon.types.text import safe_text

_SPACES = b" \t\n\v\f\r\xa0"  # the kernel's isspace()


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One word of the command line as safe text; `value` is None for a word without `=`."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The words meant for the kernel, in order."""

    arguments: tuple[Argument, ...]

    def values(self, name: str) -> tuple[str | None, ...]:
        """Every value given for `name`, `-` and `_` alike."""
        wanted = name.replace("-", "_")
        return tuple(arg.value for arg in self.arguments if arg.name.replace("-", "_") == wanted)

    def last(self, name: str) -> str | None:
        """The value of the last occurrence; None when `name` is not given, or given without a value."""
        given = self.values(name)
        return given[-1] if given else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLineFacts:
    """The options about modules and trust; None: the option is not given."""

    nomodule: bool = False  # the kernel starts with modules_disabled=1
    sig_enforce: bool | None = None  # module.sig_enforce
    lockdown: str | None = None  # the highest level given; mainline since 5.4, distributions earlier
    module_blacklist: tuple[str, ...] = ()  # names that the kernel refuses to load on every path
    modprobe_blacklist: tuple[str, ...] = ()  # names that only modprobe refuses to load by alias
    lsm: tuple[str, ...] | None = None  # security modules to enable, in the order of their calls


def parse_cmdline(raw: bytes) -> CommandLine:
    """Split the command line as the kernel does. Raises nothing."""
    arguments: list[Argument] = []
    rest = raw.split(b"\0", 1)[0].lstrip(_SPACES)
    while rest:
        word, rest = _next_word(rest)
        argument = _argument(word)
        if argument == Argument(name="--", value=None):
            break
        arguments.append(argument)
    return CommandLine(arguments=tuple(arguments))


def cmdline_facts(line: CommandLine) -> CommandLineFacts:
    """Read the options about modules, each by the rule of its own (see the head of this module)."""
    enforce = [_boolean(value) for value in line.values("module.sig_enforce")]
    nomodule = [_boolean(value) for value in line.values("nomodule")]
    levels = line.values("lockdown")
    modprobe = line.values("modprobe.blacklist")
    lsm = line.last("lsm")
    return CommandLineFacts(
        nomodule=bool(nomodule) and nomodule[-1] is True,
        sig_enforce=None if not enforce else True in enforce,
        lockdown=next((level for level in (CONFIDENTIALITY, INTEGRITY) if level in levels), None),
        module_blacklist=_names(line.last("module_blacklist")),
        modprobe_blacklist=tuple(name for value in modprobe for name in _names(value)),
        lsm=None if lsm is None else _names(lsm),
    )


def _next_word(text: bytes) -> tuple[bytes, bytes]:
    # `text` does not begin with a space. A quote that opens the word is part of it here.
    quoted = False
    for at, char in enumerate(text):
        if char == 0x22:
            quoted = not quoted
        elif char in _SPACES and not quoted:
            return text[:at], text[at + 1 :].lstrip(_SPACES)
    return text, b""


def _argument(word: bytes) -> Argument:
    # As next_arg(): an `=` in first place is part of the name, and quotes count for splitting wherever they stand.
    whole = word.startswith(b'"')
    body = word[1:] if whole else word
    equals = body.find(b"=", 1)
    if whole and body.endswith(b'"'):
        body = body[:-1]
    if equals <= 0 or equals >= len(body):
        return Argument(name=safe_text(body), value=None)
    value = body[equals + 1 :]
    if value.startswith(b'"'):
        value = value[1:].removesuffix(b'"')
    return Argument(name=safe_text(body[:equals]), value=safe_text(value))


def _boolean(value: str | None) -> bool | None:
    # kstrtobool() reads one character of the value, and two of `on` and `off`; None: it refuses the value. Since Linux
    # kernel commit 0d6ea3ac94ca ("lib/kstrtox.c: add "false"/"true" support to kstrtobool()") it also takes t and f,
    # which older kernels refuse.
    if value is None or value[:1] in tuple("yYtT1") or value[:2] in ("on", "oN", "On", "ON"):
        return True
    return False if value[:1] in tuple("nNfF0") or value[:2].lower() == "of" else None


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(name for name in (value or "").split(",") if name)
