"""Errors that kmodmon raises on purpose: their base, the error of parsers, and the error of what a person wrote."""


class KmodmonError(Exception):
    """Base of every deliberate error. Its text is one sentence that a person can act on."""


class ParseError(KmodmonError):
    """Bytes that do not have the expected format: the only exception that a parser raises.

    `interface` names the kernel file or format, `excerpt` is at most 80 bytes of the input, `why` a short reason.
    """

    def __init__(self, interface: str, excerpt: bytes, why: str) -> None:
        self.interface = interface
        self.excerpt = bytes(excerpt[:80])
        self.why = why
        super().__init__(f"{interface}: {why}: {self.excerpt!r}")


class ConfigError(KmodmonError):
    """Settings, a policy, a baseline or a flag that kmodmon refuses as a whole.

    `file` is a path or "command line"; `key` is a dotted key, a flag, or "" for the whole file; `hint` says what to
    write instead, or is ""; `line` counts from 1, None: unknown.
    """

    def __init__(self, file: str, key: str, why: str, hint: str = "", *, line: int | None = None) -> None:
        self.file = file
        self.key = key
        self.why = why
        self.hint = hint
        self.line = line
        location = file if line is None else f"{file}, line {line}"
        message = f"{location}: {key}: {why}" if key else f"{location}: {why}"
        super().__init__(f"{message}; {hint}" if hint else message)
