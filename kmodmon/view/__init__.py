"""The public JSON of the state: a State in, JSON out. The HTTP API, `--json` and the tables of the CLI use it.

Keys are part of the public interface, and so is their order in `--json`. What is not known is null, never 0 or false.
"""
