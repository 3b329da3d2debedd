"""pstore: dumps that earlier boots wrote when they died (`kernel.pstore` has the facts about the format).

Interface: fs/pstore (Documentation/admin-guide/pstore-blk.rst, ramoops.rst). /sys/fs/pstore is 0750 root:
CAP_DAC_READ_SEARCH. Absent: kernel without CONFIG_PSTORE, pstore not mounted. systemd moves the files into its archive
early in the boot, perhaps while they are read, so pstore is read before the archive; a file in both counts once. A
record of this boot (of an oops that the machine survived) is ignored, because the log has it, and so is a record older
than a month.
"""

from collections.abc import Iterator
from dataclasses import replace

from kmodmon.kernel.kmsg import may_show_values
from kmodmon.kernel.pstore import Dump, DumpPart, assemble, parse_name, parse_part
from kmodmon.sources.parameters import secret_names
from kmodmon.sources.source import PollSource, Reading, SourceContext
from kmodmon.subjects.log import PstoreRead
from kmodmon.system.root import NUMBER, Root
from kmodmon.types.error import ParseError
from kmodmon.types.outcome import Absent, Failed, Outcome, Read
from kmodmon.types.source_name import SourceName

PERIOD = 3600.0  # seconds; pstore may be mounted later, and backends are modules
MAX_FILES = 128
MAX_FILE_BYTES = 4 << 20
MONTH_USEC = 30 * 86_400 * 1_000_000
_KINDS = frozenset({"dmesg", "console"})
_DEPTH = 3  # levels of directories in the archive: of the time, of the record


class PstoreReader:
    """Reads pstore and systemd's archive of it; returns dumps only when they differ from those of the last read."""

    def __init__(self, context: SourceContext) -> None:
        self._context = context
        self._last: tuple[Dump, ...] = ()

    def __call__(self) -> Reading:
        """Read both directories."""
        root, now = self._context.root, self._context.clock.now().realtime_usec
        booted = _booted(root, now)
        listing = root.names(root.pstore)
        parts: dict[tuple[str, int, bytes | None], DumpPart] = {}
        unreadable = 0
        for path, name, archived in (*_of_pstore(root, listing), *_archived(root)):
            match _part(root, path, name):
                case Read(part):
                    unreadable += part.text is None
                    if _is_earlier(part, booted, now, archived=archived):
                        parts.setdefault((part.name.backend, part.name.id, part.text), part)
                case Failed():
                    unreadable += 1
                case Absent():  # another kind of record, or moved to the archive meanwhile
                    continue
        if not parts and not isinstance(listing, Read):
            return Reading(outcome=listing, unreadable=unreadable)
        dumps = tuple(map(self._redacted, assemble(parts.values())))
        news, self._last = (() if dumps == self._last else dumps), dumps
        return Reading(outcome=Read(PstoreRead(dumps=news)), unreadable=unreadable)

    def _redacted(self, dump: Dump) -> Dump:
        if not may_show_values(dump.text):
            return dump
        from kmodmon.kernel.redacted_log import redact_log_lines  # few dumps have such lines, and it is not small

        secrets = secret_names(self._context.settings.parameters)
        return replace(dump, text=redact_log_lines(dump.text, secrets))


def _of_pstore(root: Root, listing: Outcome[tuple[bytes, ...]]) -> Iterator[tuple[bytes, bytes, bool]]:
    names = listing.value[:MAX_FILES] if isinstance(listing, Read) else ()
    return ((b"/".join((root.pstore, name)), name, False) for name in names)


def _archived(root: Root) -> Iterator[tuple[bytes, bytes, bool]]:
    left = MAX_FILES
    waiting = [(root.host(b"var", b"lib", b"systemd", b"pstore"), 0)]
    while waiting and left > 0:
        directory, depth = waiting.pop()
        names, inside = root.names(directory), root.directories(directory)
        below = frozenset(inside.value) if isinstance(inside, Read) else frozenset[bytes]()
        for name in names.value[-left:] if isinstance(names, Read) else ():  # the newest, by their names
            left -= 1
            path = b"/".join((directory, name))
            if name not in below:
                yield path, name, True
            elif depth < _DEPTH:
                waiting.append((path, depth + 1))


def _part(root: Root, path: bytes, name: bytes) -> Outcome[DumpPart]:
    try:
        parsed = parse_name(name)
    except ParseError as error:
        return Absent(str(error))
    if parsed.kind not in _KINDS:
        return Absent(f"records of kind {parsed.kind} are not read")
    match root.read(path, MAX_FILE_BYTES):
        case Read(data):
            return Read(parse_part(parsed, data, root.mtime_usec(path)))
        case other:
            return other


def _is_earlier(part: DumpPart, booted: int | None, now: int, *, archived: bool) -> bool:
    time = part.time_usec
    if not time or booted is None:
        return True
    return now - time < MONTH_USEC and (archived or time < booted)


def _booted(root: Root, now: int) -> int | None:
    """When this boot began, microseconds since the epoch by the present clock; None without /proc/uptime."""
    words = (root.text(root.proc(b"uptime"), NUMBER) or "").split()
    try:
        return now - int(float(words[0]) * 1e6)
    except (IndexError, ValueError, OverflowError):
        return None


SOURCE = PollSource(
    name=SourceName.PSTORE,
    make=PstoreReader,
    every=lambda settings: PERIOD,
    interfaces=("/sys/fs/pstore", "/var/lib/systemd/pstore"),
    remedy="CAP_DAC_READ_SEARCH, and a pstore backend (ramoops, efi_pstore, erst)",
)
