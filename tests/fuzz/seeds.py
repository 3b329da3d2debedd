"""Seeds that are a part of a recorded file, or that the product makes of recorded hosts."""

import json
import re
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from kmodmon.events.codec import canonical_json
from kmodmon.examiner.examine import examine_file
from kmodmon.examiner.protocol import Closing, ExamineRequest, Same, WantedModule, encode_answer, encode_request
from kmodmon.examiner.tree import HostTree
from kmodmon.modfile import elf, lz4, module_signature
from kmodmon.modfile.efi_signature_list import X509
from kmodmon.policy.baseline_document import BaselineDocument, baseline_toml
from kmodmon.policy.drift import learn_baseline
from kmodmon.state.checkpoint import CHECKPOINTS
from kmodmon.store.body import body_of, pack
from kmodmon.store.chain import Link
from kmodmon.store.database import FILE, KEY_FILE
from kmodmon.store.interface import SealCause
from kmodmon.store.seal import Seal, first_key, series_of, write_key
from kmodmon.store.sqlite import SqliteHistory
from kmodmon.subjects.module_file import Stamp
from kmodmon.types.units import Usec
from tests.fuzz.inputs import SEPARATOR, TESTS, behind_cuts, changed, examples, heads, joined, lines, recorded, together
from tests.fuzz.store_targets import SECRET
from tests.fuzz.target import Seeds
from tests.module_files import MODULES, RECORDED, reader

_STAMP = Stamp(device=1, inode=2, size=3, mtime_nsec=4, ctime_nsec=5)


def section(name: bytes) -> Callable[[bytes], bytes]:
    def section(raw: bytes) -> bytes:
        file = elf.parse_elf(reader(raw), len(raw))
        found = file.find(name)
        assert found is not None
        return elf.section_bytes(file, reader(raw), found)

    return section


def signature(raw: bytes) -> bytes:
    trailer = module_signature.parse_trailer(raw, len(raw))
    assert trailer is not None
    return raw[trailer.signed_bytes : trailer.signed_bytes + trailer.signature_bytes]


def issuer(raw: bytes) -> Iterator[bytes]:
    """The issuer and the subject of a certificate."""
    at = raw.index(b"\x30", 20)
    yield raw[at : at + 2 + raw[at + 1]]


def by_place(*seeds: Seeds) -> Seeds:
    """One input for each of the seeds, each in its own place among the parts."""
    return lambda: (SEPARATOR * place + seed for place, each_of in enumerate(seeds) for seed in each_of())


def files_of_the_project(*patterns: str) -> Seeds:
    return lambda: (path.read_bytes() for pattern in patterns for path in sorted(TESTS.parent.glob(pattern)))


def saved_checkpoints() -> Iterator[bytes]:
    """The checkpoints of the daemon's first look at the recorded hosts, whole and by section."""
    from tests.test_golden import TREES, look

    for tree in TREES:
        state = look(tree)
        sections = {checkpoint.section: checkpoint.save(state) for checkpoint in CHECKPOINTS}
        for name, saved in sections.items():
            yield canonical_json({name: saved}).replace(bytes(TESTS.parent), b"")  # reasons name the recorded tree


def _dump(raw: bytes) -> bytes:
    return SEPARATOR.join([b"dmesg-efi_pstore-170000000000001", b"Panic#1 Part1\n" + raw[:2000]])


def _bzimage(raw: bytes) -> bytes:
    head = bytes(0x1F1) + b"\x04" + bytes(16) + b"HdrS\x0f\x02" + bytes(64)
    return head + struct.pack("<II", 1024, 1024) + raw[:1000]


def _signature_list(raw: bytes) -> bytes:
    return X509.bytes_le + struct.pack("<III", len(raw) + 44, 0, len(raw) + 16) + bytes(16) + raw


def _lz4_frame(raw: bytes) -> bytes:
    return lz4.MAGIC + struct.pack("<I", len(raw)) + raw


def package_lists() -> Iterator[bytes]:
    """Lists of dpkg and pacman."""
    listed, owned = b"/.\n/usr/lib/modules/a.ko.xz\n", b"usr/lib/modules/a.ko.xz\n"
    yield SEPARATOR.join([listed, b"Package: linux\nVersion: 6.1\n\n", owned])


def history_file() -> Iterator[bytes]:
    """The files of a history that is sealed, with a few events and checkpoints, and of one in the older format."""
    from tests.store.making import BOOT, event

    with tempfile.TemporaryDirectory() as name:
        _key_file(Path(name))
        with closing(SqliteHistory(Path(name), BOOT)) as history:
            history.append([event(number) for number in range(1, 4)], {"baseline": {"drift": []}})
            history.seal(SealCause.START, Usec(1_700_000_000_000_000))
        yield _in_small_pages((Path(name) / FILE).read_bytes())
    yield from map(_in_small_pages, recorded("store/histories/*")())


def _in_small_pages(raw: bytes) -> bytes:
    """The same database in pages of 512 bytes, so that fewer bytes say as much."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / FILE
        path.write_bytes(raw)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in ("journal_mode = DELETE", "page_size = 512"):
                connection.execute(f"PRAGMA {statement}")
            connection.execute("VACUUM")
            connection.execute("PRAGMA journal_mode = WAL")
        return path.read_bytes()


def _key_file(directory: Path) -> Path:
    """The file of the key of epoch 1."""
    path = directory / KEY_FILE
    path.touch()
    write_key(path, first_key(SECRET))
    return path


def sealed() -> Iterator[bytes]:
    """The file of a key, and a genuine seal as the table holds it."""
    head = Link(7, bytes(range(32)))
    made = Seal(series_of(SECRET), 1, 1_700_000_000_000_000, SealCause.START, head, head, 2, 4).signed(
        first_key(SECRET)
    )
    row = [*made[1:4], head.id, f"x{head.hash.hex()}", head.id, f"x{head.hash.hex()}", 2, 4, f"x{made.mac.hex()}"]
    with tempfile.TemporaryDirectory() as name:
        yield SEPARATOR.join([_key_file(Path(name)).read_bytes(), json.dumps([row, [2, *row[1:]]]).encode()])


def trace_pages() -> Iterator[bytes]:
    """The recorded pages of the ring buffer."""
    from tests.kernel.trace_recording import KERNELS, TRACES, Recording

    for name in KERNELS:
        yield from (page for part in (1, 2, 3) for page in list(Recording(TRACES / name).pages(part))[:8])


def event_bodies() -> Iterator[bytes]:
    """The bodies of a few events."""
    from tests.store.making import typical

    yield from (body_of(typical(number)) for number in range(4))


def shown() -> Iterator[bytes]:
    """Events and checkpoints, with elements of HTML in place of names."""
    hostile = b"<script>x</script>' onload='x"
    for kind, raw in zip((b"KernelReported", b"ModuleLoaded"), event_bodies(), strict=False):
        yield SEPARATOR.join([kind, hostile, raw.replace(b"dummy", hostile), b"{}"])
    for saved in saved_checkpoints():
        yield SEPARATOR.join([b"", b"", b"", re.sub(rb"(?<=[a-z])_(?=[a-z])", hostile, saved)])
        yield SEPARATOR.join([b"", b"", b"", saved])


def baselines() -> Iterator[bytes]:
    """What `kmodmon baseline` learns of the recorded hosts."""
    from tests.test_golden import TREES, look

    for tree in TREES:
        yield baseline_toml(BaselineDocument(base=learn_baseline(look(tree)))).encode()


def requests() -> Iterator[bytes]:
    """Requests to the examiner."""
    wanted = WantedModule(name="crc7", srcversion="F1", build_id="ab", known_path="/a", known_stamp=_STAMP)
    yield encode_request(
        ExamineRequest(release="6.1.0", modules=(wanted,), files=("/tmp/x.ko",), certificates=("/etc/a",))
    )


def answers() -> Iterator[bytes]:
    """The examiner's answers about the recorded module files."""
    host = HostTree(MODULES)
    yield from (encode_answer(examine_file(host, f"/{name}")) for name in RECORDED)
    yield encode_answer(Same(name="crc7"))
    yield encode_answer(Closing(kernel={"path": "/boot/vmlinuz"}, trust="ab", problems=("none",)))


def rpm_headers() -> Iterator[bytes]:
    """A header as rpm's database holds it."""
    from tests.examiner.test_locate import rpm_header

    yield rpm_header({1000: ["kernel"], 1001: ["6.1"], 1002: ["1"], 1117: ["crc7.ko"], 1118: ["/lib/"]}, {1116: [0]})


def http_requests() -> Iterator[bytes]:
    """A request for each page, alone and together, and one with a body."""
    head = b" HTTP/1.1\r\nHost: h\r\nAccept: application/openmetrics-text;q=0.5, */*\r\nAccept-Encoding: gzip\r\n\r\n"
    paths = (b"/", b"/metrics", b"/-/ready", b"/api/v1/modules/a%00b", b"/api/v1/events?type=ModuleLoaded&limit=2")
    yield from (b"GET " + path + head for path in paths)
    yield b"".join(b"HEAD " + path + head for path in paths)
    yield b"POST /metrics HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    yield b"GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"


SECRETS = examples("kernel/test_redaction")
TABLES = examples("modfile/test_module_tables")
KO = recorded("files/modules/*.ko*")
DER = recorded("files/modules/*.der")
FORMATS = heads(recorded("reports/cases/*json*", "reports/cases/*journal*", "reports/cases/dmesg*"), 6000)
KMSG = heads(recorded("kernel/recorded/*/kmsg"), 6000)
LOGS = heads(recorded("reports/cases/*.log", "reports/clean/*.log"), 6000)
TREE = "trees/debian*"
SYSFS = "trees/debian12*/sys/module/*"

SEEDS: Mapping[str, Seeds] = MappingProxyType(
    {
        "kernel_builtin": heads(recorded(f"{TREE}/lib/modules/*/modules.builtin"), 3000),
        "kernel_cgroup": examples("kernel/test_cgroup"),
        "kernel_cmdline": recorded("trees/*/proc/cmdline"),
        "kernel_crossview": behind_cuts(
            heads(recorded("kernel/recorded/*/k*s*", "kernel/recorded/*/available*"), 3000)
        ),
        "kernel_efivar": lambda: [SEPARATOR.join([b"\6\0\0\0\1", b"\6\0\0\0\0", b"\6\0\0\0\1"])],
        "kernel_identity": recorded(
            "trees/*/proc/version", "trees/*/proc/sys/kernel/random/boot_id", "trees/*/proc/stat"
        ),
        "kernel_kconfig": examples("kernel/test_kconfig"),
        "kernel_kmsg": KMSG,
        "kernel_livepatch": lambda: [SEPARATOR.join([b"1\n", b"0\n", b"1\n", b"2\n"])],
        "kernel_lockdown": recorded("trees/*/sys/kernel/security/l*"),
        "kernel_modprobe_d": TABLES,
        "kernel_modules": joined("trees/*/proc/modules", "kernel/recorded/*/modules", "kernel/recorded/*/sysfs_names"),
        "kernel_this_module": changed(KO, section(b".gnu.linkonce.this_module")),
        "kernel_note": recorded("kernel/recorded/*/build_id_note"),
        "kernel_parameter": changed(recorded(f"{SYSFS}/parameters/*"), lambda raw: b"psk" + SEPARATOR + raw),
        "kernel_pstore": together(changed(LOGS, _dump), examples("kernel/test_pstore")),
        "kernel_redacted_log": together(heads(LOGS, 2000), examples("kernel/test_redacted_log")),
        "kernel_redaction": together(SECRETS, changed(SECRETS, lambda raw: b"\0".join(raw.split()))),
        "kernel_release": changed(
            examples("kernel/test_release"), lambda raw: SEPARATOR.join([raw, b"6.1.0-18-amd64"])
        ),
        "kernel_saved_cmdlines": examples("kernel/test_saved_cmdlines"),
        "kernel_shell_words": SECRETS,
        "kernel_sysctl": recorded(f"{TREE}/proc/sys/kernel/*", f"{TREE}/sys/kernel/*_count"),
        "kernel_sysmodule": recorded(f"{SYSFS}/coresize", f"{SYSFS}/version", f"{SYSFS}/srcversion"),
        "kernel_taint": recorded("trees/*/proc/sys/kernel/tainted"),
        "kernel_taint_text": examples("kernel/test_taint"),
        "kernel_task_status": examples("kernel/test_task_status"),
        "kernel_trace_formats": recorded(
            "kernel/traces/*/header_page", "kernel/traces/*/[mis]*", "kernel/recorded/*/trace_clock"
        ),
        "kernel_trace_page": trace_pages,
        "kernel_uevent": examples("kernel/test_uevent"),
        "kernel_vmallocinfo": behind_cuts(heads(recorded("kernel/recorded/*/vmalloc*"), 3000)),
        "modfile_boot_image": together(changed(KO, lambda raw: raw[:512]), changed(KO, _bzimage)),
        "modfile_builtin_certificates": DER,
        "modfile_depmod": TABLES,
        "modfile_der": together(DER, changed(KO, signature)),
        "modfile_distinguished_name": changed(DER, issuer),
        "modfile_efi_signature_list": changed(DER, _signature_list),
        "modfile_elf": KO,
        "modfile_loader_elf": KO,
        "modfile_lz4": changed(examples("modfile/test_lz4"), _lz4_frame),
        "modfile_lz4_block": examples("modfile/test_lz4"),
        "modfile_modinfo": changed(KO, section(b".modinfo")),
        "modfile_modinfo_whole": changed(KO, section(b".modinfo")),
        "modfile_module_signature": changed(KO, lambda raw: raw[-1500:]),
        "modfile_modversions": changed(KO, section(b"__versions")),
        "modfile_pkcs7": changed(KO, signature),
        "modfile_symvers": TABLES,
        "modfile_vermagic": examples("modfile/test_modinfo"),
        "modfile_x509": DER,
        "examiner_answer": answers,
        "examiner_certificates": by_place(*[DER] * 5),
        "examiner_decompress": behind_cuts(KO),
        "examiner_kernel_image": KO,
        "examiner_module_directory": by_place(*[TABLES] * 4, KO),
        "examiner_module_file": KO,
        "examiner_packages": package_lists,
        "examiner_request": requests,
        "examiner_rpm_header": rpm_headers,
        "savedlog_formats": together(FORMATS, examples("savedlog/test_savedlog")),
        "savedlog_reports": LOGS,
        "reports_line": lines(LOGS, 7),
        "reports_live_log": changed(KMSG, lambda raw: b"\2" + raw),
        "reports_opening": together(
            lines(LOGS, 7), examples("reports/test_user_text", "reports/test_live_log_hostile")
        ),
        "reports_prefilter": KMSG,
        "reports_replayed_log": changed(KMSG, lambda raw: b"\x80" + raw),
        "events_json": together(lines(event_bodies), heads(recorded("golden/*/api.txt"), 3000)),
        "store_body": changed(event_bodies, pack),
        "store_row": changed(event_bodies, lambda raw: SEPARATOR.join([b"ModuleLoaded", b"info", b"dummy", raw])),
        "store_file": history_file,
        "store_journal": heads(recorded("system/journals/*"), 4000),
        "store_seal": sealed,
        "state_checkpoints": together(examples("subjects/test_checkpoint_documents"), saved_checkpoints),
        "state_shown": saved_checkpoints,
        "view_masking": together(lines(LOGS, 7), examples("view/test_masking")),
        "config_settings": together(examples("config/test_load"), files_of_the_project("docs/settings.md")),
        "config_toml": together(files_of_the_project("pyproject.toml"), baselines, examples("config/test_toml_writer")),
        "config_yaml": together(examples("web/test_webconfig"), files_of_the_project("grafana/alertmanager.yml")),
        "policy_document": examples("policy/test_document"),
        "policy_baseline": together(baselines, examples("policy/test_baseline")),
        "web_address": lambda: [b"127.0.0.1:10069", b"[::1]:10069", b":0", b"systemd:kmodmon"],
        "web_authority": together(examples("web/test_access"), lambda: [b"a.host.test:80"]),
        "web_config": examples("web/test_webconfig"),
        "web_connection": behind_cuts(together(http_requests, examples("web/test_abuse", "web/test_server"))),
        "web_headers": examples("web/test_negotiate", "web/test_auth"),
        "web_page": shown,
        "web_path": examples("web/test_message", "web/test_api"),
        "web_query": examples("web/test_api"),
        "sources_redaction": lambda: [b"insmod\0x.ko\0psk=a\0", b"modprobe\0-q\0--\0fs-ext4"],
    }
)
