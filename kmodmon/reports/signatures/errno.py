"""What insmod, modprobe, rmmod and kmod print when the kernel refuses: the sentence of the errno, and what it means.

kmod's tools print `could not insert module X: SENTENCE` with the C library's text for the errno. One errno has many
causes; the kernel log has the line that tells them apart, where there is one (kernel/module/main.c load_module()).
"""

from dataclasses import dataclass

from kmodmon.events.report import LoadFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence that a tool prints."""

    errno: str | None  # None: a sentence of the tool's own
    text: str  # as the C library words it, or as the tool does; lower case
    meaning: str
    next_step: str
    reasons: tuple[LoadFailure, ...] = ()  # why the kernel may have refused; empty: no refusal that its log names


_LOG = "Read the kernel log (`kmodmon events --type ModuleLoadFailed` or `dmesg | tail`): it says which. "

SENTENCES: tuple[Sentence, ...] = (
    Sentence(
        errno="EPERM", text="operation not permitted",
        meaning="The caller is not root (CAP_SYS_MODULE), module loading is switched off "
        "(kernel.modules_disabled), the "
        "module is on module_blacklist=, or lockdown refuses an unsigned module.",
        next_step=_LOG + "No line at all: check `sysctl kernel.modules_disabled` and that you are root on the host.",
        reasons=(LoadFailure.LOCKDOWN, LoadFailure.BLACKLISTED, LoadFailure.LSM),
    ),
    Sentence(
        errno="EKEYREJECTED", text="key was rejected by service",
        meaning="The kernel does not accept the module's signature: it is unsigned or signed with an unknown key and "
        "signatures are enforced, the file was changed after it was signed, or its key is revoked.",
        next_step="Sign the module with an enrolled key (`mokutil --import`), or install the vendor's signed build. "
        "A file changed after signing (strip!) must be rebuilt.",
        reasons=(LoadFailure.UNSIGNED, LoadFailure.KEY_UNAVAILABLE, LoadFailure.KEY_REJECTED,
                 LoadFailure.UNSUPPORTED_CRYPTO),
    ),
    Sentence(
        errno="ENOKEY", text="required key not available",
        meaning="The module is signed with a key that the kernel does not have, or not at all (kernels before 5.4).",
        next_step="Enrol the key (`mokutil --import KEY.der`, reboot), or use a module signed by the distribution.",
        reasons=(LoadFailure.KEY_UNAVAILABLE,),
    ),
    Sentence(
        errno="ENOEXEC", text="exec format error",
        meaning="The file is no module for this kernel: another kernel's version magic, another architecture, a symbol "
        "version without match, or a damaged file.",
        next_step=_LOG + "Rebuild it for `uname -r` (`dkms autoinstall`) or reinstall the package.",
        reasons=(LoadFailure.VERSION_MAGIC, LoadFailure.SYMBOL_VERSION, LoadFailure.BAD_FORMAT),
    ),
    Sentence(
        errno="ENOEXEC", text="invalid module format",
        meaning="insmod's own words for `Exec format error`: the file is no module for this kernel.",
        next_step=_LOG + "Rebuild it for `uname -r` (`dkms autoinstall`) or reinstall the package.",
        reasons=(LoadFailure.VERSION_MAGIC, LoadFailure.SYMBOL_VERSION, LoadFailure.BAD_FORMAT),
    ),
    Sentence(
        errno="ENOENT", text="unknown symbol in module",
        meaning="insmod's own words for ENOENT: a symbol that the module needs is neither in the kernel nor in a "
        "module "
        "that is loaded.",
        next_step="Use modprobe, which loads what the module depends on; else rebuild it. " + _LOG,
        reasons=(LoadFailure.UNKNOWN_SYMBOL, LoadFailure.GPL_ONLY_SYMBOL),
    ),
    Sentence(
        errno="ENOENT", text="no such file or directory",
        meaning="There is no such file; or, where the file does exist, a symbol that the module needs is missing.",
        next_step="Check the path; then `depmod -a`, and use modprobe instead of insmod.",
        reasons=(LoadFailure.UNKNOWN_SYMBOL,),
    ),
    Sentence(
        errno="EEXIST", text="file exists",
        meaning="A module of that name is loaded already.",
        next_step="Nothing, unless it is another version: then unload that one first.",
        reasons=(LoadFailure.ALREADY_LOADED,),
    ),
    Sentence(
        errno="EBUSY", text="device or resource busy",
        meaning="A module of that name is just being loaded or unloaded, its init found its device taken by another "
        "driver, or (rmmod) it can not be unloaded.",
        next_step="Look which driver holds the device (`lspci -k`); for rmmod see `Used by` in lsmod.",
        reasons=(LoadFailure.INIT,),
    ),
    Sentence(
        errno="EAGAIN", text="resource temporarily unavailable",
        meaning="The module is in use: something holds a reference, or another module depends on it.",
        next_step="`kmodmon modules NAME` shows the holders; unload those first.",
    ),
    Sentence(
        errno="EINVAL", text="invalid argument",
        meaning="A parameter has a value the module does not take, a symbol's version or namespace does not match, or "
        "the module's init refused.",
        next_step=_LOG,
        reasons=(LoadFailure.BAD_PARAMETER, LoadFailure.NAMESPACE, LoadFailure.SYMBOL_VERSION),
    ),
    Sentence(
        errno="ENODEV", text="no such device",
        meaning="The module loaded, found none of its hardware and left again; the kernel refused nothing.",
        next_step="Check that the device is there (`lspci -nn`, `lsusb`) and not held by another driver.",
        reasons=(LoadFailure.INIT,),
    ),
    Sentence(
        errno="ENXIO", text="no such device or address",
        meaning="The module's init did not find its hardware.",
        next_step="Check that the device is there and not held by another driver.",
        reasons=(LoadFailure.INIT,),
    ),
    Sentence(
        errno="ENOMEM", text="cannot allocate memory",
        meaning="There was no memory for the module: in the module area, per CPU, or at all.",
        next_step="Look for `page allocation failure` and `percpu` in the kernel log.",
        reasons=(LoadFailure.NO_MEMORY,),
    ),
    Sentence(
        errno="EBADMSG", text="bad message",
        meaning="The signature at the end of the module file is damaged.",
        next_step="Reinstall the module; sign it again.",
        reasons=(LoadFailure.BAD_SIGNATURE,),
    ),
    Sentence(
        errno="EACCES", text="permission denied",
        meaning="The file can not be read, or a security module (IMA, SELinux, LoadPin) refuses it.",
        next_step="Look for `ima`, `LoadPin` and `avc` in the kernel and audit log.",
        reasons=(LoadFailure.LSM,),
    ),
    Sentence(
        errno="EKEYREVOKED", text="key has been revoked",
        meaning="The key that signed the module was revoked.",
        next_step="Get a build signed with the new key.",
        reasons=(LoadFailure.KEY_REJECTED,),
    ),
    Sentence(
        errno="ENOPKG", text="package not installed",
        meaning="The kernel lacks the algorithm of the module's signature.",
        next_step="Sign with an algorithm of this kernel (CONFIG_MODULE_SIG_HASH).",
        reasons=(LoadFailure.UNSUPPORTED_CRYPTO,),
    ),
    Sentence(
        errno="ENOSYS", text="function not implemented",
        meaning="The kernel was built without loadable modules, or without unloading.",
        next_step="Nothing to do with this kernel.",
    ),
    Sentence(
        errno="EOPNOTSUPP", text="operation not supported",
        meaning="The kernel can not decompress the module file itself (CONFIG_MODULE_DECOMPRESS).",
        next_step="Use modprobe of a kmod that decompresses, or install the plain .ko.",
        reasons=(LoadFailure.DECOMPRESSION,),
    ),
    Sentence(
        errno="ETIMEDOUT", text="connection timed out",
        meaning="The module's init waited for its hardware in vain.",
        next_step="Look at the driver's own lines in the kernel log.",
        reasons=(LoadFailure.INIT,),
    ),
)  # fmt: skip

TOOL_SENTENCES: tuple[Sentence, ...] = (
    Sentence(
        errno=None, text="not found in directory",
        meaning="kmod finds no module of that name for the running kernel.",
        next_step="Check the name and `uname -r`; run `depmod -a`; install the package with that module.",
    ),
    Sentence(
        errno=None, text="is in use",
        meaning="Something holds a reference to the module.",
        next_step="`kmodmon modules NAME` shows who; unload those first.",
    ),
    Sentence(
        errno=None, text="is not currently loaded",
        meaning="There is no such module to unload.",
        next_step="Check the name with lsmod.",
    ),
    Sentence(
        errno=None, text="is builtin",
        meaning="The driver is part of the kernel image.",
        next_step="Nothing to load; it can not be unloaded.",
    ),
    Sentence(
        errno=None, text="disagrees about version of symbol",
        meaning="The module was built against another version of a function or structure.",
        next_step="Rebuild it for the kernel that runs (`dkms autoinstall`).",
    ),
)  # fmt: skip


def find_sentence(text: str) -> Sentence | None:
    """Return the longest sentence in `text` (`no such device or address` holds another one); None: there is none."""
    lowered, errno = text.lower(), text.strip().upper()
    sentences = (*SENTENCES, *TOOL_SENTENCES)
    matches = [sentence for sentence in sentences if sentence.text in lowered or sentence.errno == errno]
    return max(matches, key=lambda sentence: len(sentence.text), default=None)
