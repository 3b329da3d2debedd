"""Every parser on what two stock Debian kernels said, with modules of odd names loaded and one just hidden.

Under `recorded/KERNEL/`: files as those kernels gave them (lists shortened to a line a module). The modules' names hold
a space, a newline, 0xFF and a comma, a path, what looks like other fields (`0 -`), and a whole forged line.
"""

from pathlib import Path

import pytest

from kmodmon.kernel.crossview import filter_function_modules, kallsyms_modules, kprobe_modules
from kmodmon.kernel.identity import parse_version
from kmodmon.kernel.kmsg import parse_record
from kmodmon.kernel.lockdown import parse_lockdown, parse_lsm
from kmodmon.kernel.modules import parse_modules
from kmodmon.kernel.sysmodule import parse_build_id
from kmodmon.kernel.taint import letters, parse_tainted
from kmodmon.kernel.trace import parse_trace_clock
from kmodmon.kernel.vmallocinfo import parse_module_areas
from kmodmon.types.text import safe_text
from tests.kernel.render import render_line, render_record

RECORDED = Path(__file__).parent / "recorded"
KERNELS = ("6.1.0-56-cloud-amd64", "7.2.13+deb14-cloud-amd64")
FORGED = b"a 1 0 - Live 0x0000000000000000\nb"
ODD = {safe_text(name) for name in (b"a b", b"n\nl", b"\xff\xfe,c", b"../x", b"0 -", FORGED)}
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def read(kernel: str, name: str) -> bytes:
    return (RECORDED / kernel / name).read_bytes()


@every_kernel
def test_modules_when_recorded_then_every_line_and_back(kernel: str) -> None:
    raw = read(kernel, "modules")
    file = parse_modules(raw, read(kernel, "sysfs_names").split(b"\0"))
    lines = {line.name: line for line in file.lines}
    assert file.skipped == ()
    assert lines.keys() >= ODD
    assert {lines[name].taint for name in ODD} == {"OE"}
    assert b"".join(map(render_line, file.lines)) == raw
    assert lines["permanent_mod"].permanent
    assert lines["stack_a"].holders == ("stack_b",)
    assert lines["prop_mod"].taint == "POE"
    assert lines["flags_mod"].taint == "COEKN"


@every_kernel
def test_modules_when_sysfs_is_not_asked_then_only_the_forged_name_fools(kernel: str) -> None:
    file = parse_modules(read(kernel, "modules"))
    names = {line.name for line in file.lines}
    assert file.skipped == ()
    assert names >= ODD - {safe_text(FORGED)} | {"a", "b"}


@every_kernel
def test_views_when_a_module_is_hidden_then_ftrace_alone_still_names_it(kernel: str) -> None:
    listed = {
        line.name for line in parse_modules(read(kernel, "modules"), read(kernel, "sysfs_names").split(b"\0")).lines
    }
    traceable = filter_function_modules([read(kernel, "available_filter_functions")])
    assert "hidden_mod" not in listed
    assert "hidden_mod" in traceable
    assert kallsyms_modules([read(kernel, "kallsyms")]) >= ODD
    assert kprobe_modules(read(kernel, "kprobes_list")) == {"dummy"}


@every_kernel
def test_vmallocinfo_when_addresses_are_real_then_every_module_with_text_has_an_area(kernel: str) -> None:
    areas = parse_module_areas([read(kernel, "vmallocinfo")])
    for line in parse_modules(read(kernel, "modules"), read(kernel, "sysfs_names").split(b"\0")).lines:
        addresses = [] if line.address is None else [line.address]
        holding = [area for area in areas for address in addresses if (area.start or 0) <= address < (area.end or 0)]
        assert len(holding) == len(addresses), line.name
        for area in holding if kernel.startswith("6.1.") else ():
            assert area.size == line.size + 4096  # one area a module, and a guard page


@every_kernel
def test_vmallocinfo_when_addresses_are_hashed_then_only_sizes(kernel: str) -> None:
    areas = parse_module_areas([read(kernel, "vmallocinfo_hashed")])
    assert areas
    assert {area.start for area in areas} == {None}


@every_kernel
def test_kmsg_when_recorded_then_every_record_and_back(kernel: str) -> None:
    records = [part + b"\n" for part in read(kernel, "kmsg").replace(b"\n ", b"\0 ").split(b"\n") if part]
    raws = [record.replace(b"\0 ", b"\n ") for record in records]
    parsed = [parse_record(raw) for raw in raws]
    assert [render_record(record) for record in parsed] == raws
    seqs = [record.seq for record in parsed]
    assert seqs == sorted(seqs)
    assert any(record.fields for record in parsed)
    assert any(not record.from_kernel for record in parsed)


@every_kernel
def test_small_files_when_recorded_then_values(kernel: str) -> None:
    assert parse_version(read(kernel, "version")).release == kernel
    assert letters(parse_tainted(read(kernel, "tainted"))) == "PCOEKN"
    assert parse_lockdown(read(kernel, "lockdown")).mode == "none"
    assert "lockdown" in parse_lsm(read(kernel, "lsm"))
    assert parse_trace_clock(read(kernel, "trace_clock")) == "local"
    assert len(parse_build_id(read(kernel, "build_id_note")) or "") == 40
