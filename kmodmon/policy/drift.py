"""Compares a host with its baseline, and makes a baseline from the state of a host.

A kernel update replaces every module of the kernel package. Therefore srcversions and build-ids are compared only on
the kernel release that the baseline names. On another release the kernel is the one difference, and signers and origins
are still compared.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType

from kmodmon.kernel.taint import decode, letters, parse_letters
from kmodmon.lifecycle.inventory import Module
from kmodmon.policy.baseline_document import BaselinePart
from kmodmon.state.state import State
from kmodmon.state.trust import provenance_of
from kmodmon.subjects.baseline import Baseline, Drift, DriftKind, SignedModule
from kmodmon.subjects.files import Origin
from kmodmon.subjects.parameters import ParameterTable

# Parameters that affect trust. A learnt baseline has these and those that modprobe.d sets.
OF_INTEREST = (
    "apparmor.enabled", "apparmor.mode", "firmware_class.path", "kernel.panic", "kernel.panic_on_warn",
    "kfence.sample_interval", "kvm.ignore_msrs", "kvm_amd.nested", "kvm_intel.nested", "module.sig_enforce",
    "usbcore.authorized_default", "vfio_iommu_type1.allow_unsafe_interrupts", "zswap.enabled",
)  # fmt: skip
_VOLATILE = frozenset({"kexec_load_limit_panic", "kexec_load_limit_reboot", "livepatches"})


def differences_from(baseline: Baseline, state: State, absent: frozenset[str]) -> tuple[Drift, ...]:
    """Give every difference, sorted by id. `absent`: modules absent for long enough to count as missing."""
    differences = (
        *_kernel(baseline, state),
        *_modules(baseline, state, absent),
        *_parameters(baseline, state.parameters),
        *_posture(baseline, state),
        *_taint(baseline, state),
    )
    return tuple(sorted(differences, key=lambda difference: difference.id))


def required(baseline: Baseline) -> frozenset[str]:
    """Names of the modules that are not optional."""
    return frozenset(name for name, signed in baseline.modules.items() if not signed.optional)


def learn_baseline(state: State, parameters: tuple[str, ...] = ()) -> BaselinePart:
    """Make a baseline from the state. `parameters`: globs for further parameters, as module.parameter."""
    modules = {name: _signed(state, module) for name, module in state.inventory.modules.items()}
    return BaselinePart(
        kernel=None if state.kernel is None else state.kernel.release,
        modules=MappingProxyType(modules),
        parameters=MappingProxyType(dict(_interesting(state, parameters))),
        posture=MappingProxyType(
            {name: str(value) for name, value in state.posture.facts.items() if name not in _VOLATILE}
        ),
        taint=None if state.taint.value is None else letters(state.taint.value, state.taint.flags),
    )


def _signed(state: State, module: Module) -> SignedModule:
    provenance = provenance_of(state, module)
    return SignedModule(
        srcversion=module.attributes.srcversion,
        build_id=module.attributes.build_id if module.attributes.srcversion is None else None,
        signer=provenance.signer,
        origin=None if provenance.origin is Origin.UNKNOWN else provenance.origin.value,
    )


def _interesting(state: State, globs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    options = {f"{module}.{name}" for module, names in state.modprobe.options.items() for name in names}
    wanted = options | set(OF_INTEREST)
    for name, value in _values(state.parameters).items():
        if name in wanted or any(fnmatchcase(name, glob) for glob in globs):
            yield name, value


def _values(table: ParameterTable) -> Mapping[str, str]:
    """Values that are readable and not redacted, by module.parameter."""
    return {
        f"{module}.{name}": parameter.value.text
        for module, parameters in table.parameters.items()
        for name, parameter in parameters.items()
        if parameter.value is not None and not parameter.redacted
    }


def _is_same_kernel(baseline: Baseline, state: State) -> bool:
    return state.kernel is not None and baseline.kernel == state.kernel.release


def _kernel(baseline: Baseline, state: State) -> Iterator[Drift]:
    if baseline.kernel is not None and state.kernel is not None:
        release = state.kernel.release
        if release != baseline.kernel and not fnmatchcase(release, baseline.kernel):
            yield Drift(kind=DriftKind.KERNEL, name="release", expected=baseline.kernel, actual=release)


def _modules(baseline: Baseline, state: State, absent: frozenset[str]) -> Iterator[Drift]:
    if state.inventory.support is None:
        return
    exact = _is_same_kernel(baseline, state)
    for name, module in state.inventory.modules.items():
        signed = baseline.modules.get(name)
        if signed is None:
            yield Drift(kind=DriftKind.UNEXPECTED, name=name, module=name)
        else:
            yield from _changed(signed, state, module, exact=exact)
    for name in required(baseline) & absent:
        yield Drift(kind=DriftKind.MISSING, name=name, module=name)


def _changed(signed: SignedModule, state: State, module: Module, *, exact: bool) -> Iterator[Drift]:
    now, file = _signed(state, module), provenance_of(state, module).file
    pairs = (
        ("srcversion", signed.srcversion if exact else None, now.srcversion),
        ("build_id", signed.build_id if exact else None, now.build_id),
        ("signer", signed.signer, now.signer or (None if file is None else "nobody")),
        ("origin", signed.origin, now.origin),
    )
    # a value that is not known (yet) is no difference
    differing = [pair for pair in pairs if pair[1] is not None and pair[2] is not None and pair[1] != pair[2]]
    if differing:
        yield Drift(
            kind=DriftKind.CHANGED,
            name=module.name,
            module=module.name,
            expected=", ".join(f"{key} {was}" for key, was, _ in differing),
            actual=", ".join(f"{key} {is_now}" for key, _, is_now in differing),
        )


def _parameters(baseline: Baseline, table: ParameterTable) -> Iterator[Drift]:
    if not table.read:
        return
    values = _values(table)
    for name, wanted in baseline.parameters.items():
        actual = values.get(name)
        if actual is not None and actual != wanted:  # the parameter of a module that is not loaded has no value
            module = name.partition(".")[0]
            yield Drift(kind=DriftKind.PARAMETER, name=name, expected=wanted, actual=actual, module=module)


def _posture(baseline: Baseline, state: State) -> Iterator[Drift]:
    for name, wanted in baseline.posture.items():
        actual = state.posture.facts.get(name)
        if actual is not None and str(actual) != wanted:
            yield Drift(kind=DriftKind.POSTURE, name=name, expected=wanted, actual=str(actual))


def _taint(baseline: Baseline, state: State) -> Iterator[Drift]:
    if baseline.taint is None or state.taint.value is None:
        return
    expected = parse_letters(baseline.taint, state.taint.flags).value
    for flag in decode(state.taint.value & ~expected, state.taint.flags):
        if flag.defined or "?" not in baseline.taint:
            yield Drift(kind=DriftKind.TAINT, name=flag.label, actual=flag.letter)
