"""How far a loaded module is trusted: the kernel's word first, the file's where the kernel has none.

The kernel gives an `E` to a module that it could not verify. Without `E` it did verify it, if it was built to: a
kernel without CONFIG_MODULE_SIG verifies nothing and marks nothing, and there the examiner's verdict counts.
"""

from dataclasses import dataclass

from kmodmon.lifecycle.inventory import Module, SignatureStatus
from kmodmon.state.state import State
from kmodmon.subjects.files import FileRecord, Origin
from kmodmon.subjects.module_file import ModuleFile, OnDisk

_NEVER_TRUE_OF_VERIFIED = frozenset({SignatureStatus.UNSIGNED, SignatureStatus.INVALID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a loaded module came from and how far it is trusted; None: not known. All of it holds for what is loaded.

    `file` is the file of the loaded build, and None if what lies on disk is another one and the right one never was
    seen. `on_disk` None: not examined, or there is nothing to compare.
    """

    signature: SignatureStatus
    origin: Origin
    file: ModuleFile | None = None
    on_disk: OnDisk | None = None

    @property
    def signer(self) -> str | None:
        """Who signed the loaded module, by its file."""
        return None if self.file is None else self.file.signature.signer

    @property
    def differs(self) -> bool | None:
        """Whether the file of its name holds something else than what is loaded; None: not known, or no file."""
        if self.on_disk in (None, OnDisk.UNKNOWN, OnDisk.DELETED):
            return None
        return self.on_disk is not OnDisk.SAME


def provenance_of(state: State, module: Module) -> Provenance:
    """All that is known of where a module came from."""
    record = record_of(state, module)
    file = None if record is None else record.own
    return Provenance(
        signature=_signature(module, file, kernel_verifies(state)),
        origin=Origin.UNKNOWN if record is None else record.origin,
        file=file,
        on_disk=None if record is None else record.on_disk,
    )


def trust(state: State, module: Module) -> SignatureStatus:
    """How far a module's signature can be trusted."""
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
    # The parameter is there with CONFIG_MODULE_SIG and not without; it may also be hidden from us.
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
