"""The table of fuzz targets: name, function of bytes, and what it may raise.

To add one is one line here and, for what it starts from, one in `seeds.py`. Functions that need more than the input
itself are in the files beside this one, by room. `test_corpus.py` fails while a parser of foreign bytes is reached by
no target.
"""

from kmodmon.events.codec import ShapeError
from kmodmon.examiner.tree import FileError
from kmodmon.kernel import builtin, cgroup, kconfig, lockdown, modprobe_d, saved_cmdlines, task_status
from kmodmon.modfile import efi_signature_list, modinfo, symvers
from kmodmon.policy.document import parse_policy
from kmodmon.store.error import StoreError
from kmodmon.types.error import ConfigError, ParseError
from kmodmon.web.message import BadRequest
from tests.fuzz import document_targets as documents
from tests.fuzz import examiner_targets as examiner
from tests.fuzz import http_targets as http
from tests.fuzz import kernel_targets as kernel
from tests.fuzz import log_targets as logs
from tests.fuzz import modfile_targets as modfile
from tests.fuzz import page_targets as page
from tests.fuzz import redaction_targets as redaction
from tests.fuzz import store_targets as store
from tests.fuzz.inputs import each
from tests.fuzz.target import Target

NOTHING: tuple[type[Exception], ...] = ()
PARSE = (ParseError,)

TARGETS: tuple[Target, ...] = (
    # kernel
    Target("kernel_builtin", builtin.parse_builtin, PARSE),
    Target("kernel_cgroup", cgroup.parse_cgroup, NOTHING),
    Target("kernel_cmdline", kernel.command_line, NOTHING),
    Target("kernel_crossview", kernel.cross_view, NOTHING, 8192),
    Target("kernel_efivar", kernel.efi_variables, NOTHING),
    Target("kernel_identity", kernel.kernel_identity, NOTHING, 8192),
    Target("kernel_kconfig", kconfig.parse_kconfig, PARSE),
    Target("kernel_kmsg", kernel.kmsg_record, NOTHING, 8192),
    Target("kernel_livepatch", kernel.live_patch, PARSE),
    Target("kernel_lockdown", each(lockdown.parse_lockdown, lockdown.parse_lsm, raises=ParseError), NOTHING),
    Target("kernel_modprobe_d", modprobe_d.parse_modprobe_file, NOTHING, safe=False),
    Target("kernel_modules", kernel.module_list, NOTHING),
    Target("kernel_this_module", kernel.this_module, NOTHING),
    Target("kernel_note", kernel.notes, NOTHING),
    Target("kernel_parameter", kernel.module_parameter, NOTHING),
    Target("kernel_pstore", kernel.pstore_dump, NOTHING),
    Target("kernel_redacted_log", redaction.redacted_log, NOTHING, 2048),
    Target("kernel_redaction", redaction.command_line, NOTHING, 2048),
    Target("kernel_release", kernel.names_of_files, NOTHING, 255),
    Target("kernel_saved_cmdlines", saved_cmdlines.parse_saved_cmdlines, NOTHING),
    Target("kernel_shell_words", redaction.words, NOTHING, 1024),
    Target("kernel_sysctl", kernel.sysctl_values, NOTHING, 8192),
    Target("kernel_sysmodule", kernel.sysfs_module, NOTHING, 8192, safe=False),
    Target("kernel_taint", kernel.taint_number, PARSE, 8192),
    Target("kernel_taint_text", kernel.taint_text, NOTHING),
    Target("kernel_task_status", task_status.parse_task_status, PARSE, 8192),
    Target("kernel_trace_formats", kernel.trace_formats, NOTHING, safe=False),
    Target("kernel_trace_page", kernel.trace_page, NOTHING),
    Target("kernel_uevent", kernel.uevent, PARSE),
    Target("kernel_vmallocinfo", kernel.module_areas, NOTHING, 8192),
    # modfile
    Target("modfile_boot_image", modfile.kernel_image, NOTHING, 8192),
    Target("modfile_builtin_certificates", modfile.certificate_lists, NOTHING),
    Target("modfile_depmod", modfile.depmod_files, NOTHING, safe=False),
    Target("modfile_der", modfile.der_tree, PARSE),
    Target("modfile_distinguished_name", modfile.names, NOTHING, 1024),
    Target("modfile_efi_signature_list", efi_signature_list.parse_signature_lists, PARSE),
    Target("modfile_elf", modfile.elf_file, PARSE, 12288, safe=False),
    Target("modfile_loader_elf", modfile.loader, NOTHING, 12288),
    Target("modfile_lz4", modfile.lz4_frame, PARSE),
    Target("modfile_lz4_block", modfile.lz4_block, PARSE),
    Target("modfile_modinfo", modfile.module_info, NOTHING),
    Target("modfile_modinfo_whole", modinfo.parse_modinfo, NOTHING, safe=False),
    Target("modfile_module_signature", modfile.signature_trailer, NOTHING),
    Target("modfile_modversions", modfile.version_tables, NOTHING, safe=False),
    Target("modfile_pkcs7", modfile.signed_data, PARSE),
    Target("modfile_symvers", symvers.parse_symvers, NOTHING, safe=False),
    Target("modfile_vermagic", modfile.version_magic, NOTHING),
    Target("modfile_x509", modfile.certificate, PARSE),
    # examiner
    Target("examiner_answer", examiner.answer, (ShapeError,), 8192),
    Target("examiner_certificates", examiner.certificates, NOTHING, 6144),
    Target("examiner_decompress", examiner.decompressed, NOTHING, 8192),
    Target("examiner_kernel_image", examiner.whole_kernel, (FileError,), 12288),
    Target("examiner_module_directory", examiner.module_directory, NOTHING, 8192),
    Target("examiner_module_file", examiner.module_file, NOTHING, 12288),
    Target("examiner_packages", examiner.packages, NOTHING, 8192),
    Target("examiner_request", examiner.request, (ShapeError,), 8192),
    Target("examiner_rpm_header", examiner.rpm_header, PARSE, safe=False),
    # savedlog, reports
    Target("savedlog_formats", logs.log_formats, NOTHING, 8192),
    Target("savedlog_reports", logs.saved_log, NOTHING, 8192, safe=False),
    Target("reports_line", logs.log_line, NOTHING, 1024, safe=False),
    Target("reports_live_log", logs.live_log, NOTHING, 8192),
    Target("reports_opening", logs.opening, NOTHING, 2048),
    Target("reports_prefilter", logs.prefilter, NOTHING, 4096),
    Target("reports_replayed_log", logs.replayed_log, NOTHING, 8192),
    # events, store, state, view
    Target("events_json", documents.event_json, (ShapeError,)),
    Target("store_body", store.packed_body, (ValueError,)),
    Target("store_row", store.history_row, (ShapeError,)),
    Target("store_file", store.history_file, (StoreError,), 32768),
    Target("store_journal", store.journal, NOTHING),
    Target("store_seal", store.seals, (ShapeError,), 12288),
    Target("state_checkpoints", documents.checkpoints, (ShapeError,), 8192),
    Target("state_shown", documents.shown_checkpoints, (ShapeError,), 8192, safe=False),
    Target("view_masking", redaction.masked, NOTHING, 1024),
    # config, policy
    Target("config_settings", documents.settings, (ConfigError,)),
    Target("config_toml", documents.toml, (ConfigError,), 8192),
    Target("config_yaml", documents.yaml, (ConfigError,)),
    Target("policy_document", lambda data: parse_policy(data, "policy.toml"), (ConfigError,), safe=False),
    Target("policy_baseline", documents.baseline, (ConfigError,)),
    # web
    Target("web_address", http.address, (ConfigError,), 8192),
    Target("web_authority", http.authority, NOTHING, 256),
    Target("web_config", documents.web_config, (ConfigError,)),
    Target("web_connection", http.connection, NOTHING, 4096),
    Target("web_headers", http.headers, NOTHING, 2048),
    Target("web_page", page.status_page, NOTHING, 8192),
    Target("web_path", http.path, NOTHING, 2048),
    Target("web_query", http.query, (BadRequest,), 2048),
    # sources
    Target("sources_redaction", documents.redaction, NOTHING),
)  # fmt: skip
BY_NAME = {target.name: target for target in TARGETS}
