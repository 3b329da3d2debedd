"""Layer 0: one file per kernel format. Bytes in, dataclass out; no I/O, pure standard library.

A parser raises :class:`ParseError` and nothing else, whatever bytes it is given.
"""
