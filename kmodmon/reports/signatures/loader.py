"""What the module loader prints: taints, refusals, failures. Each line is an event of its own and no report.

Kernel files: kernel/module.c (<= 5.18), kernel/module/*.c, kernel/params.c, kernel/livepatch/, crypto/asymmetric_keys/.
Most lines begin with the module's name. Refusals of unsigned modules, of unknown keys and of lockdown name no module;
then the event names none. Frequency: the verification and livepatch taints are printed once per boot, the out-of-tree,
proprietary and test taints only while their bit is clear, the staging taint at every load. So the number of lines is
not the number of modules. Wordings that changed:

- `Unknown symbol NAME (err -2)`: the same text in all releases, `%li` in 4.18 and `%d` in 5.0 and later.
- `Loading of unsigned module is rejected`: 4.18 has it too; 5.4 and later have further reasons in place of `unsigned
  module`.
- `Module is not signed with expected PKCS#7 message` in 4.18, `module: not signed with ...` in 5.4 and later.
- `module uses symbols from proprietary module NAME` in 5.10, `module uses symbols SYMBOL from ...` in 6.1 and later.
- `do_init_module: 'NAME'->init suspiciously returned N` up to 7.0, `NAME: init suspiciously returned N` in 7.2.
- `from namespace NAME` exists in 5.4 and later, `tries to import module namespace` in 6.17 but not in 6.14.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import LoadFailure, ReportClass
from kmodmon.reports.signatures.signature import LogSignature, MatchStage

_NAME = r"(?P<module>[\w-]{1,64}): "
_TAINT = ReportClass.MODULE_TAINT
_FAIL = ReportClass.MODULE_LOAD_FAILURE
_REBUILD = "Rebuild or reinstall the module for the kernel that runs (`uname -r`); for DKMS: `dkms autoinstall`."
_SIGN = "Sign the module with a key that the kernel trusts (`mokutil --import`), or install the vendor's signed one."


def _taint(  # noqa: PLR0913 - one row of a table
    name: str, title: str, contains: str, text: str, help_: str, advice: str, wording: str = ""
) -> LogSignature:
    return LogSignature(
        name=name,
        report_class=_TAINT,
        severity=Severity.NOTICE,
        stage=MatchStage.NOTICE,
        title=title,
        contains=(contains,),
        pattern=_NAME + text,
        help=help_,
        advice=advice,
        origin="kernel/module/main.c",
        wording=wording,
    )


def _refusal(
    name: str, reason: LoadFailure, contains: tuple[str, ...], pattern: str, help_: str, advice: str
) -> LogSignature:
    return LogSignature(
        name=name,
        report_class=_FAIL,
        severity=Severity.WARNING,
        stage=MatchStage.NOTICE,
        title=name.replace("_", " "),
        contains=contains,
        pattern=pattern,
        help=help_,
        advice=advice,
        origin="kernel/module/main.c",
        reason=reason,
    )


SIGNATURES: tuple[LogSignature, ...] = (
    _taint(
        "out_of_tree", "out-of-tree module", "oading out-of-tree module", r"loading out-of-tree module taints kernel",
        "The module was not built as part of the kernel's own source.", "Expected for DKMS and vendor drivers.",
    ),
    _taint(
        "verification_failed", "module without a trusted signature", "module verification failed",
        r"module verification failed: signature and/or +required key missing",
        "The module is unsigned, or signed with a key that the kernel does not know; it was loaded all the same.",
        _SIGN, "printed once per boot: later modules of this kind are silent",
    ),
    _taint(
        "proprietary", "proprietary module", "taints kernel", r"module license(?: '(?P<symbol>.*)')? taints kernel",
        "The module's licence is not compatible with the GPL.", "Expected for some vendor drivers.",
    ),
    _taint(
        "staging", "staging module", "from the staging directory", r"module is from the staging directory",
        "The module is known to be below the kernel's standard.", "Look for a driver outside staging.",
    ),
    _taint(
        "test_module", "test module", "oading test module", r"loading test module taints kernel",
        "A KUnit or other test module was loaded.", "Not on a production machine.", "since 6.0",
    ),
    _taint(
        "livepatch", "live patch", "TAINT_LIVEPATCH", r"tainting kernel with TAINT_LIVEPATCH",
        "The module is a live patch.", "Expected with kpatch, kGraft or a vendor's live patching.",
    ),
    _taint(
        "forced_load", "module loaded by force", "kernel tainted.", r"(?P<symbol>[\w.]{1,128}|(?:no|"
            r"bad) vermagic|no versions for exported symbols): kernel tainted\.$",
        "The module was loaded although its version does not match.", _REBUILD,
    ),
    _taint(
        "inherited_taint", "taint inherited through symbols", "inheriting taint",
        r"module uses symbols (?P<symbol>\S+ )?from proprietary module \S+, inheriting taint",
        "The module uses symbols of a proprietary one and counts as proprietary too.", "Expected with that vendor.",
    ),
    _taint(
        "no_retpoline", "module built without retpolines", "not compiled with retpoline",
        r"loading module not compiled with retpoline compiler",
        "The module weakens the protection against Spectre.", "Rebuild it with the kernel's compiler.",
    ),
    LogSignature(
        name="unsupported_module", report_class=_TAINT, severity=Severity.NOTICE, stage=MatchStage.NOTICE,
        title="unsupported module",
        contains=("driver is detected", "Driver is detected", "not supported by", "marked unsupported",
            "no support for", "module has not been", "is unsupported", "unmaintained", "deprecated"),
        pattern=r"(?:Warning: Unmaintained driver is detected: (?P<module>[\w-]+)|Warning: (?:Deprecated|"
        r"Unsupported) Driver is detected: (?P<module2>[\w -]+)|"
        r"(?P<module3>[\w-]+): (?:module not supported by|module is not supported by|cannot load unsupported module|"
        r"unsupported module|externally supported module|"
        r"module unloading is not supported|loading unsupported module))",
        help="The distribution does not support this module.", advice="Ask the vendor of the module.",
        origin="kernel/module.c (SUSE), kernel/rh_messages.c (Enterprise Linux)",
    ),
    LogSignature(
        name="dangerous_option", report_class=_TAINT, severity=Severity.NOTICE, stage=MatchStage.NOTICE,
        title="dangerous option set",
        contains=("Setting dangerous option",), pattern=r"Setting dangerous option (?P<symbol>\S+)",
        help="An unsafe module parameter was set.", advice="Remove it unless a developer asked for it.",
        origin="kernel/params.c param_check_unsafe()",
    ),
    LogSignature(
        name="lock_debugging_disabled", report_class=_TAINT, severity=Severity.INFO, stage=MatchStage.NOTICE,
        title="lock debugging disabled", contains=("Disabling lock debugging",),
        pattern=r"Disabling lock debugging due to kernel taint",
        help="The kernel was tainted in a way that makes lockdep's findings doubtful.", advice="Nothing by itself.",
        origin="kernel/panic.c add_taint()",
    ),
    _refusal(
        "unsigned_module", LoadFailure.UNSIGNED, ("of unsigned module",),
        r"(?:Loading of unsigned module is rejected|Request for unknown module key|"
        r"module: Loading of unsigned module)",
        "The kernel takes only signed modules, and this one is not signed. The line does not say which module.", _SIGN,
    ),
    _refusal(
        "key_unavailable", LoadFailure.KEY_UNAVAILABLE, ("unavailable key", "unknown module key",
        "not signed with a trusted key"),
        r"(?:Loading of module with unavailable key is rejected|Request for unknown module key '.*' err -?\d+|PKCS#7 "
        r"signature not signed with a trusted key|"
        r"Request for unknown (?:module )?key)",
        "The module is signed with a key that the kernel does not have. The line does not say which module.", _SIGN,
    ),
    _refusal(
        "unsupported_crypto", LoadFailure.UNSUPPORTED_CRYPTO, ("with unsupported crypto",),
        r"Loading of module with unsupported crypto is rejected",
        "The module's signature uses an algorithm that this kernel lacks.", _SIGN,
    ),
    _refusal(
        "bad_signature", LoadFailure.BAD_SIGNATURE, ("PKCS#7 ", "Module signature verification failed"),
        r"(?:Module is not signed with expected PKCS#7 message|(?:module: |Module: )?(?:not signed with expected "
        r")?PKCS#7 (?:message|signature info has unexpected|"
        r"signature with non-detached|signature verification)|module: not signed with expected PKCS#7)",
        "The signature at the end of the module file is damaged or of another kind.", "Reinstall the module.",
    ),
    _refusal(
        "hash_blacklisted", LoadFailure.HASH_REVOKED, ("odule hash ", "is blacklisted"),
        r"Module hash [0-9a-f]+ is blacklisted",
        "The module's hash is on the revocation list.", "Get a newer build of the module.",
    ),
    _refusal(
        "key_blacklisted", LoadFailure.KEY_REJECTED, ("blacklisted key", "is blacklisted", "key rejected"),
        r"(?:The key 'id:[0-9a-f]+' |X\.509: (?:Cert \S{1,80} )?)?(?:is |was |"
        r"Cert )?(?:signed with a blacklisted key|is blacklisted key)",
        "The key that signed the module is revoked.", _SIGN,
    ),
    _refusal(
        "module_blacklisted", LoadFailure.BLACKLISTED, ("is blacklisted",), r"Module (?P<module>[\w-]+) is blacklisted",
        "The module is named in module_blacklist= on the kernel's command line.",
        "Take it off the list if it is wanted.",
    ),
    _refusal(
        "unknown_symbol", LoadFailure.UNKNOWN_SYMBOL, ("Unknown symbol ",),
        _NAME + r"Unknown symbol (?P<symbol>\S+)(?: \(err (?P<err>-?\d+)\))?",
        "The kernel, and the modules loaded, do not offer a symbol that the module needs.",
        "err -2: load the module that exports it first (modprobe does), or rebuild; err -22: its version does not "
        "match.",
    ),
    _refusal(
        "gpl_only_symbol", LoadFailure.GPL_ONLY_SYMBOL, ("GPL-only symbol", "GPL-incompatible", "non-GPLONLY"),
        r"(?:" + _NAME + r"(?:module using GPL-only symbols uses symbols|module uses GPL-only symbol|"
        r"GPL-incompatible module)|"
        r"(?:GPL-only symbol|failing symbol_get of non-GPLONLY symbol) (?P<symbol>[\w.]+))",
        "A module that is not GPL-compatible needs a symbol reserved for those that are.", "Ask the module's vendor.",
    ),
    _refusal(
        "symbol_version", LoadFailure.SYMBOL_VERSION, ("disagrees about version of symbol", "no symbol version for",
        "symbol version"),
        _NAME + r"(?:disagrees about version of symbol|no (?:extended )?symbol version for) (?P<symbol>\S+)",
        "The module was built against another version of a function or structure.", _REBUILD,
    ),
    _refusal(
        "version_magic", LoadFailure.VERSION_MAGIC, ("version magic '",),
        _NAME + r"version magic '(?P<symbol>.*?)' should be '",
        "The module was built for another kernel.", _REBUILD,
    ),
    _refusal(
        "namespace_import", LoadFailure.NAMESPACE, ("from namespace ", "import module namespace"),
        _NAME + r"(?:module uses symbol \(?(?P<symbol>[\w.]+)\)? from namespace|module tries to import module "
        r"namespace)",
        "The module uses a symbol of a namespace without importing it.", "A bug of the module's source.",
    ),
    _refusal(
        "duplicate_symbol", LoadFailure.DUPLICATE_SYMBOL, ("exports duplicate symbol",),
        _NAME + r"exports duplicate symbol (?P<symbol>\S+)",
        "The module exports a symbol that another, or the kernel, exports already.",
        "Two drivers for the same thing: remove one.",
    ),
    _refusal(
        "already_loaded", LoadFailure.ALREADY_LOADED, ("is already loaded",), _NAME + r"module is already loaded",
        "A module, or a built-in part, of that name exists.",
        "Nothing to do, unless it is another module of that name.",
    ),
    _refusal(
        "gave_up_waiting", LoadFailure.TIMEOUT, ("gave up waiting for init",),
        _NAME + r"gave up waiting for init of module (?P<symbol>\S+?)\.",
        "The module it depends on did not finish its init.", "Look at that module.",
    ),
    _refusal(
        "livepatch_refused", LoadFailure.LIVEPATCH, ("livepatch",),
        r"(?:(?P<module>[\w-]+): module is marked as livepatch module, but|livepatch: (?:module (?P<module2>[\w-]+) "
        r"is not marked as|failed to (?:enable|initialize|apply) patch|"
        r"patch '\S+' failed for module '(?P<module3>[^']+)'|"
        r"Livepatch patch \((?P<module4>[^)]+)\) is not compatible))",
        "A live patch was refused, or refused a module.", "Check that the patch is for this kernel.",
    ),
    _refusal(
        "bad_parameter", LoadFailure.BAD_PARAMETER, ("nknown parameter `", "invalid for parameter `",
        "too large for parameter `",
                                                     "can only take ", "string doesn't fit in", "needs at least "),
        _NAME + r"(?:Unknown parameter `(?P<symbol>[^']*)'|`.*' (?:invalid|too large) for parameter "
        r"`(?P<symbol2>[^']*)'|can only take \d+ arguments|"
        r"needs at least \d+ arguments|string doesn't fit in \d+ chars|string parameter too long)",
        "A parameter has a value that the module does not take.", "Check /etc/modprobe.d and `modinfo -p`.",
    ),
    _refusal(
        "bad_elf", LoadFailure.BAD_FORMAT, ("nvalid ELF ", "ELF Spec violation", "module architecture",
        "architecture in ELF", "Module len ", "o module found in object",
                                            "odule has invalid ELF", "this_module section", "odule has no symbols",
                                            "string table", "Only one .modinfo",
                                            "invalid section index", "o module found", "WRITE|EXEC",
                                            "empty section name", "relocation", " BTF: -"),
        r"(?:Invalid ELF (?:header|section|symbol)|ELF Spec violation: |Invalid (?:module )?architecture in ELF "
        r"header|Module len \d+ truncated|Module has invalid ELF|"
        r"Only one \.modinfo section|empty section name table|(?:empty )?symbol string table|"
        r"symbol name out of bounds|"
        r"(?:module )?(?P<module>[\w-]+): (?:(?:Only|Exactly) one \.gnu\.linkonce\.this_module|"
        r"\.gnu\.linkonce\.this_module section|No module found in object|"
        r"module has no symbols|Symbol \S+ has an invalid section index|section \S+ \(index \d+\) has invalid WRITE|"
        r"section \d+ reloc \d+ sym '[^']*': (?:relocation \d+ out of range|unsupported)|unknown \w+ relocation: \d+|"
        r"Unknown (?:rela relocation: |relocation type )\d+)|"
        r"(?:module(?:_\d+)?: )?overflow in relocation type \d+ val|"
        r"(?:module: )?(?:x86/modules: )?(?:Skipping i|I)nvalid relocation target, existing value is nonzero|"
        r"(?:BPF: ?)*failed to validate module \[(?P<module2>[\w-]+)\] BTF: -\d+)",
        "The file is no module of this architecture, or is damaged or cut short.", "Reinstall the module.",
    ),
    _refusal(
        "decompression", LoadFailure.DECOMPRESSION, ("compressed module", "decompression failed with",
        "initialize decompressor", "ZSTD-"),
        r"(?:not an? (?:gzip|xz|zstd) compressed module|(?:ZSTD-)?decompression failed with status|failed to "
        r"initialize decompressor|ZSTD-compressed data has)",
        "The compressed module file is damaged.", "Reinstall the module.",
    ),
    _refusal(
        "no_percpu_memory", LoadFailure.NO_MEMORY, ("bytes percpu data", "Could not allocate "),
        _NAME + r"Could not allocate \d+ bytes percpu data",
        "There was no per-CPU memory left for the module.", "Raise percpu_alloc= or unload modules.",
    ),
    _refusal(
        "init_failed", LoadFailure.INIT, ("init suspiciously returned",),
        r"(?:do_init_module: '(?P<module>[^']+)'->init suspiciously returned|(?P<module2>[\w-]+): init suspiciously "
        r"returned|initcall (?P<symbol>\w+)\+?\S* returned with error code)",
        "The module's init function returned something that is no error code.", "A bug of the module.",
    ),
    _refusal(
        "request_module", LoadFailure.REQUEST_MODULE, ("request_module: ", "runaway loop modprobe",
        "duplicate request for module"),
        r"(?:request_module: (?:runaway loop modprobe (?P<symbol>\S+)|modprobe (?P<symbol2>\S+) cannot be processed|"
        r"kmod_concurrent_max|sigkill sent for modprobe (?P<symbol3>\S+?),)|"
        r"module: module-autoload: duplicate request for module (?P<symbol4>\S+))",
        "The kernel asked for more modules at once than it allows, or in a circle.",
        "Look at what asks for that module.",
    ),
    _refusal(
        "lsm_refused", LoadFailure.LSM, ("LoadPin: ", "impossible to appraise a module", "integrity: "),
        r"(?:LoadPin: \S+ (?:denied|old-api-denied) |(?:ima: )?impossible to appraise a module without)",
        "A security module refused the file: it is not where, or not signed as, the policy wants.",
        "See the policy (LoadPin, IMA).",
    ),
    LogSignature(
        name="sysfs_clash", report_class=_FAIL, severity=Severity.WARNING,
        stage=MatchStage.NOTICE, title="module not in sysfs",
        contains=("to sysfs failed",), pattern=r"Adding module '(?P<module>[^']+)' to sysfs failed",
        help="The kernel could not make the module's directory in /sys/module.", advice="A name clash or no memory.",
        origin="kernel/params.c kernel_add_sysfs_param()", reason=LoadFailure.ALREADY_LOADED,
    ),
)  # fmt: skip
