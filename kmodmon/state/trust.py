"""The signature status of a loaded module: by the kernel's taint letter, or else by the file.

A kernel with CONFIG_MODULE_SIG gives the letter `E` to each module whose signature it could not verify, so a module
without `E` was verified. A kernel without CONFIG_MODULE_SIG verifies nothing and never sets `E`; there the verdict of
the examiner counts.
"""

from dataclasses import dataclass

from kmodmon.lifecycle.inventory import Module, SignatureStatus
from kmodmon.state.state import State
from kmodmon.subjects.files import FileRecord, Origin
from kmodmon.subjects.module_file import ModuleFile, OnDisk

_NEVER_TRUE_OF_VERIFIED = frozenset({SignatureStatus.UNSIGNED, SignatureStatus.INVALID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Signature, origin and file of the loaded build of a module."""

    signature: SignatureStatus
    origin: Origin
    file: ModuleFile | None = None  # of the loaded build; None: that file was never examined
    on_disk: OnDisk | None = None  # how the file that is there now compares; None: not examined

    @property
    def signer(self) -> str | None:
        """The signer in the file of the loaded build; None: not known, or not signed."""
        return None if self.file is None else self.file.signature.signer

    @property
    def differs(self) -> bool | None:
        """Whether the file that is there now is another build than the loaded one; None: not known, or no file."""
        if self.on_disk in (None, OnDisk.UNKNOWN, OnDisk.DELETED):
            return None
        return self.on_disk is not OnDisk.SAME


def provenance_of(state: State, module: Module) -> Provenance:
    """The provenance of a loaded module."""
    record = record_of(state, module)
    file = None if record is None else record.own
    return Provenance(
        signature=_signature(module, file, kernel_verifies(state)),
        origin=Origin.UNKNOWN if record is None else record.origin,
        file=file,
        on_disk=None if record is None else record.on_disk,
    )


def trust(state: State, module: Module) -> SignatureStatus:
    """The signature status of a loaded module."""
    record = record_of(state, module)
    return _signature(module, None if record is None else record.own, kernel_verifies(state))


def record_of(state: State, module: Module) -> FileRecord | None:
    """The examination of this load of a module; None: none yet."""
    record = state.files.records.get(module.name)
    return record if record is not None and record.instance == module.attributes.instance else None


def kernel_verifies(state: State) -> bool | None:
    """Whether this kernel checks module signatures at all (CONFIG_MODULE_SIG); None: unknown."""
    config = None if state.kernel is None else state.kernel.config
    if config is not None:
        return config.is_on("CONFIG_MODULE_SIG")
    # sig_enforce exists only with CONFIG_MODULE_SIG; that it cannot be read proves nothing.
    switches = state.posture.switches
    return True if switches is not None and switches.sig_enforce is not None else None


def _signature(module: Module, file: ModuleFile | None, verifies: bool | None) -> SignatureStatus:
    verdict = None if file is None else file.signature.verdict
    if "E" in module.taint:
        return SignatureStatus.INVALID if verdict is SignatureStatus.INVALID else SignatureStatus.UNSIGNED
    if verifies is False:
        return SignatureStatus.UNKNOWN if verdict is None else verdict
    if verifies is None and verdict in _NEVER_TRUE_OF_VERIFIED:
        return verdict
    return SignatureStatus.VALID
