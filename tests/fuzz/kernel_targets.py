"""Targets of kmodmon/kernel that need more than one parser and one file."""

import functools

from kmodmon.kernel import (
    cmdline,
    crossview,
    efivar,
    identity,
    livepatch,
    modprobe_d,
    modules,
    parameter,
    pstore,
    ring_buffer,
    sysctl,
    taint,
    trace,
    trace_format,
)  # fmt: skip
from kmodmon.kernel.kmsg import parse_prefix, parse_record, split_records
from kmodmon.kernel.module_name import parse_this_module
from kmodmon.kernel.modules import is_complete, merge_passes
from kmodmon.kernel.note import build_id, parse_notes
from kmodmon.kernel.release import is_newer
from kmodmon.kernel.sysmodule import module_name, parse_build_id, parse_size, parse_version, sysfs_name
from kmodmon.kernel.taint_vendor import choose_flags
from kmodmon.kernel.uevent import is_about_modules, parse_uevent
from kmodmon.kernel.vmallocinfo import parse_module_areas
from kmodmon.types.error import ParseError
from tests.fuzz.inputs import cut, pieces, tried
from tests.kernel.trace_recording import KERNELS, TRACES, Recording

_INTERFACE = "/proc/sys/kernel/x"


def command_line(data: bytes) -> object:
    line = cmdline.parse_cmdline(data)
    return line, cmdline.cmdline_facts(line), line.last("module_blacklist")


def cross_view(data: bytes) -> object:
    """The names do not depend on how a file is cut into chunks."""
    whole, chunks = cut(data)
    found = []
    for parse in (crossview.kallsyms_modules, crossview.filter_function_modules):
        found.append(parse([whole]))
        assert parse(chunks) == found[-1], parse.__name__
    return found, crossview.kprobe_modules(whole)


def module_areas(data: bytes) -> object:
    """The areas do not depend on how the file is cut into chunks."""
    whole, chunks = cut(data)
    areas = parse_module_areas([whole])
    assert parse_module_areas(chunks) == areas
    return areas


def efi_variables(data: bytes) -> object:
    variables = [tried(ParseError, efivar.parse_efivar, raw) for raw in pieces(data, 3)]
    assert all(variable is None or variable.is_set in (True, False) for variable in variables)
    return efivar.secure_boot(*variables, variables_readable=bool(data))


def kernel_identity(data: bytes) -> object:
    parsers = (identity.parse_version, identity.parse_boot_id, identity.parse_boot_time)
    return [tried(ParseError, parse, data) for parse in parsers]


def kmsg_record(data: bytes) -> object:
    """A record that can be parsed has the prefix that the cheap parser reads."""
    shown = []
    for raw in split_records(data):
        record = tried(ParseError, parse_record, raw)
        prefix = tried(ParseError, parse_prefix, raw)
        if record is not None:
            assert prefix == (record.facility << 3 | record.level, record.seq)
            shown.append(record.printable)
    assert b"".join(split_records(data)) == data
    return shown


def live_patch(data: bytes) -> object:
    enabled, transition, replaces, order = pieces(data, 4)
    return livepatch.parse_livepatch(enabled, transition, replaces or None, order or None)


def module_list(data: bytes) -> object:
    """Every module is there once after two passes are merged."""
    first, second, names = pieces(data, 3)
    files = [modules.parse_modules(raw, tuple(names.split(b"\n"))) for raw in (first, second)]
    merged = merge_passes(*files)
    listed = [line.name for line in merged.lines]
    assert len(listed) == len(set(listed)) and merged.doubtful <= set(listed)
    return files[0].lines, merged.lines, is_complete(first)


def this_module(data: bytes) -> object:
    return [parse_this_module(data, bits) for bits in (32, 64)]


def notes(data: bytes) -> object:
    found = [tried(ParseError, parse, data, order) for parse in (parse_notes, build_id) for order in "<>"]
    return found, tried(ParseError, parse_build_id, data)


def module_parameter(data: bytes) -> object:
    """A value is the same as itself, also cut; and a redacted one keeps nothing of its text."""
    name, raw = pieces(data, 2)
    value, short = parameter.parse_parameter(raw), parameter.parse_parameter(raw, 16)
    assert parameter.is_same(value, short)
    hidden = parameter.redact(value)
    assert hidden.text in (parameter.REDACTED, value.text)
    assert hidden.text == parameter.REDACTED or value.kind in (
        parameter.ParameterKind.BOOLEAN,
        parameter.ParameterKind.EMPTY,
    )
    return value, parameter.is_secret(name.decode("utf-8", "surrogateescape"))


def pstore_dump(data: bytes) -> object:
    """Each part is in exactly one dump."""
    records = pieces(data, 6)
    parts = []
    for name, raw in zip(records[::2], records[1::2], strict=True):
        parsed = tried(ParseError, pstore.parse_name, name)
        if parsed is not None:
            parts.append(pstore.parse_part(parsed, raw, 1_700_000_000_000_000))
    return len(pstore.assemble(parts))


def names_of_files(data: bytes) -> object:
    """Releases as in /lib/modules: one is newer than the other, or neither; names in modprobe.d."""
    first, second, *others = pieces(data, 4)
    releases = [raw.decode("utf-8", "surrogateescape") for raw in (first, second)]
    assert not (is_newer(*releases) and is_newer(*reversed(releases))) and not is_newer(releases[0], releases[0])
    listing = {name: [each.decode("utf-8", "replace") for each in others] for name in modprobe_d.DIRECTORIES}
    assert len(modprobe_d.effective_files(listing)) <= len(others)
    return [flag.bit for flag in choose_flags(releases[0], releases[1].split())]


def sysctl_values(data: bytes) -> object:
    parsers = (sysctl.parse_number, sysctl.parse_counter, sysctl.parse_switch)
    return [tried(ParseError, parse, data, _INTERFACE) for parse in parsers], sysctl.parse_words(data)


def sysfs_module(data: bytes) -> object:
    name = module_name(data)
    return name, sysfs_name(name), tried(ParseError, parse_size, data), parse_version(data)


def taint_number(data: bytes) -> object:
    """Letters are read back as the number they were made of, as far as they have a letter."""
    value = taint.parse_tainted(data)
    shown = taint.letters(value)
    assert taint.parse_letters(shown).value & ~value == 0
    return taint.decode(value), shown


def taint_text(data: bytes) -> object:
    text = data.decode("utf-8", "surrogateescape")
    return taint.parse_letters(text).value, taint.parse_tainted_text(text).value


@functools.cache
def _layouts() -> tuple[trace.TraceLayout, ...]:
    return tuple(Recording(TRACES / name).layout for name in KERNELS)


def trace_page(data: bytes) -> object:
    """A page as each kernel lays it out: its records lie inside of it, and one that does not hold is unreadable."""
    chunks = []
    for layout in _layouts():
        raw = data[: layout.page.page_size].ljust(layout.page.page_size, b"\0")
        page = tried(ParseError, ring_buffer.parse_page, raw, layout.page)
        assert page is None or all(0 <= start <= end <= len(raw) for _, start, end in page.records)
        chunks.append(trace.parse_trace_page(raw, layout))
        assert page is not None or chunks[-1].unreadable
    return chunks


def trace_formats(data: bytes) -> object:
    pages = [tried(ParseError, trace_format.parse_header_page, data, order) for order in ("little", "big")]
    parsers = (trace_format.parse_event_format, trace.parse_trace_clock)
    return pages, [tried(ParseError, parse, data) for parse in parsers]


def uevent(data: bytes) -> object:
    """An event of a module always has the bytes by which datagrams are chosen for parsing."""
    event = parse_uevent(data)
    assert is_about_modules(data) or (event.module is None and event.module_old is None)
    return event
