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
