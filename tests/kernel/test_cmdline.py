"""The kernel command line, split as lib/cmdline.c splits it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.cmdline import Argument, CommandLineFacts, cmdline_facts, parse_cmdline


@pytest.mark.parametrize(
    ("raw", "arguments"),
    [
        (b"BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet\n",
         [("BOOT_IMAGE", "/vmlinuz"), ("root", "/dev/vda1"), ("ro", None), ("quiet", None)]),
        (b'a="x y" b', [("a", "x y"), ("b", None)]),
        (b'"a=x y" b', [("a", "x y"), ("b", None)]),
        (b'"a b" c', [("a b", None), ("c", None)]),
        (b'a=x" "y', [("a", 'x" "y')]),
        (b'a="x', [("a", "x")]),
        (b"a=", [("a", "")]),
        (b"=a=b", [("=a", "b")]),
        (b"=a", [("=a", None)]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a -- b nomodule", [("a", None)]),
        (b"a --=x b", [("a", None), ("--", "x"), ("b", None)]),
        (b"  a\t\tb\n", [("a", None), ("b", None)]),
        (b"a\x1bb=\xff", [("a\\x1bb", "\\xff")]),
        (b"", []),
        (b'"', [("", None)]),
    ],
)  # fmt: skip
def test_parse_cmdline_when_words_then_split_as_the_kernel_does(
    raw: bytes, arguments: list[tuple[str, str | None]]
) -> None:
    assert [(arg.name, arg.value) for arg in parse_cmdline(raw).arguments] == arguments


def test_command_line_when_dash_or_underscore_then_the_same_name() -> None:
    line = parse_cmdline(b"module-blacklist=a module_blacklist=b module_blacklist")
    assert line.values("module_blacklist") == ("a", "b", None)
    assert line.last("module-blacklist") is None


@pytest.mark.parametrize(
    ("raw", "facts"),
    [
        (b"ro quiet", CommandLineFacts()),
        (b"nomodule", CommandLineFacts(nomodule=True)),
        (b"nomodule nomodule=0", CommandLineFacts()),
        (b"module.sig_enforce", CommandLineFacts(sig_enforce=True)),
        (b"module.sig_enforce=1 module.sig_enforce=0", CommandLineFacts(sig_enforce=True)),
        (b"module.sig-enforce=off", CommandLineFacts(sig_enforce=False)),
        (b"module.sig_enforce=maybe", CommandLineFacts(sig_enforce=False)),
        (b"lockdown=confidentiality lockdown=integrity", CommandLineFacts(lockdown="confidentiality")),
        (b"lockdown=none", CommandLineFacts()),
        (b"module_blacklist=a,b module_blacklist=c,,d", CommandLineFacts(module_blacklist=("c", "d"))),
        (b"modprobe.blacklist=a,b modprobe.blacklist=c", CommandLineFacts(modprobe_blacklist=("a", "b", "c"))),
        (b"lsm=lockdown,yama", CommandLineFacts(lsm=("lockdown", "yama"))),
        (b"lsm=", CommandLineFacts(lsm=())),
        (b"quiet -- nomodule lockdown=integrity", CommandLineFacts()),
    ],
)
def test_cmdline_facts_when_options_then_each_by_its_own_rule(raw: bytes, facts: CommandLineFacts) -> None:
    assert cmdline_facts(parse_cmdline(raw)) == facts


WORD = st.text("abc_.", min_size=1, max_size=6)


@given(st.lists(st.tuples(WORD, st.none() | st.text("xyz =,/", max_size=8)), max_size=6))
def test_parse_cmdline_when_rendered_with_quotes_then_the_same_arguments(words: list[tuple[str, str | None]]) -> None:
    raw = " ".join(name if value is None else f'{name}="{value}"' for name, value in words).encode()
    assert [(arg.name, arg.value) for arg in parse_cmdline(raw).arguments] == words


@given(st.binary())
def test_parse_cmdline_when_any_bytes_then_arguments_and_facts(raw: bytes) -> None:
    line = parse_cmdline(raw)
    assert all(isinstance(arg, Argument) and arg.name.isprintable() for arg in line.arguments)
    assert isinstance(cmdline_facts(line), CommandLineFacts)
