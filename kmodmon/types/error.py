"""The one error of layer 0, and the root of every error that kmodmon raises on purpose."""


class KmodmonError(Exception):
    """Base of every deliberate error; its text is one sentence a person can act on."""


class ParseError(KmodmonError):
    """Bytes that are not of the format they were said to be; nothing was lost, the caller still has them."""

    def __init__(self, interface: str, excerpt: bytes, why: str) -> None:
        self.interface = interface
        self.excerpt = bytes(excerpt[:80])
        self.why = why
        super().__init__(f"{interface}: {why}: {self.excerpt!r}")


class ConfigError(KmodmonError):
    """Something a person wrote (settings, policy, baseline, a flag) and kmodmon refuses; nothing of it is in force.

    `file` is a path or "command line", `key` a dotted key or a flag or "" for the file as a whole, `hint` what to
    write instead or ""; `line` counts from 1, None: not known.
    """

    def __init__(self, file: str, key: str, why: str, hint: str = "", *, line: int | None = None) -> None:
        self.file = file
        self.key = key
        self.why = why
        self.hint = hint
        self.line = line
        place = file if line is None else f"{file}, line {line}"
        said = f"{place}: {key}: {why}" if key else f"{place}: {why}"
        super().__init__(f"{said}; {hint}" if hint else said)
