"""From a command line to a verb: the overview, the version, and the parser of the verb that was named."""

import argparse
import importlib
from collections.abc import Sequence
from typing import NoReturn, cast

from kmodmon import __version__
from kmodmon.cli import VERBS, UsageError, Verb, VerbModule
from kmodmon.cli.options import add_shared

_PURPOSE = (
    "What is loaded into this kernel, where it came from, who put it there, and what it did to the kernel's trust."
)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports an error as one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(self.prog, f"{message}; `{self.prog} --help` shows what it takes")


def dispatch(argv: Sequence[str]) -> int:
    """Run the verb that `argv` names and give its exit code; raises UsageError, and what the verb raises."""
    match [*argv]:
        case ["-h" | "--help" | "help"]:
            print(overview())
            return 0
        case ["--version" | "-V" | "version"]:
            print(f"kmodmon {__version__}")
            return 0
        case ["help", name]:
            return _run(_verb(name), ["--help"])
        case [name, *rest] if not name.startswith("-"):
            return _run(_verb(name), rest)
        case [option, *_]:
            raise UsageError("kmodmon", f"{option} comes after a command; `kmodmon --help` lists the commands")
        case _:
            raise UsageError("kmodmon", "what shall it do? `kmodmon --help` lists the commands")


def overview() -> str:
    """Give the text of `kmodmon --help`."""
    width = max(len(verb.name) for verb in VERBS)
    lines = [f"  {verb.name:{width}}  {verb.help}" for verb in VERBS]
    return "\n".join(
        [
            "usage: kmodmon COMMAND [OPTION]...",
            "",
            _PURPOSE,
            "",
            *lines,
            "",
            "`kmodmon COMMAND --help` shows its options.",
        ]
    )


def _verb(name: str) -> Verb:
    for verb in VERBS:
        if verb.name == name:
            return verb
    from difflib import get_close_matches  # imported only for the error

    near = get_close_matches(name, [verb.name for verb in VERBS], n=1)
    hint = f"did you mean `kmodmon {near[0]}`?" if near else "`kmodmon --help` lists the commands"
    raise UsageError("kmodmon", f"there is no command {name!r}; {hint}")


def _run(verb: Verb, rest: Sequence[str]) -> int:
    module = cast(VerbModule, importlib.import_module(verb.module))
    args = parser_of(verb, module)
    try:
        parsed = args.parse_args(rest)
    except SystemExit as exit_:  # of --help, after it has printed
        return int(exit_.code or 0)
    return module.run(parsed)


def parser_of(verb: Verb, module: VerbModule) -> Parser:
    """Give the parser of a verb, with its own arguments and then the shared ones."""
    sentence = verb.help[0].upper() + verb.help[1:] + "."
    parser = Parser(prog=f"kmodmon {verb.name}", description=sentence, allow_abbrev=False)
    module.add_arguments(parser)
    add_shared(parser, verb)
    return parser
