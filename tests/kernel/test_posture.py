"""Whether unsigned modules are refused: what booted kernels did, and what cannot be told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.kernel.kconfig import Kconfig
from kmodmon.kernel.lockdown import Lockdown
from kmodmon.kernel.posture import SignatureEvidence, locked_down, signature_enforcement

LEVELS = ("none", "integrity", "confidentiality")
NONE, INTEGRITY = (Lockdown(mode=mode, available=LEVELS) for mode in ("none", "integrity"))
ACTIVE = ("lockdown", "capability")
DEBIAN = Kconfig(values={"CONFIG_MODULES": "y", "CONFIG_MODULE_SIG": "y", "CONFIG_SECURITY_LOCKDOWN_LSM": "y"})
NO_SIG = Kconfig(values={"CONFIG_MODULES": "y", "CONFIG_MODULE_SIG": "n"})
NO_MODULES = Kconfig(values={"CONFIG_MODULES": "n", "CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY": "y"})
FORCED = Kconfig(values={"CONFIG_MODULES": "y", "CONFIG_MODULE_SIG": "y", "CONFIG_MODULE_SIG_FORCE": "y"})
BUILT_LOCKED = Kconfig(
    values={
        "CONFIG_MODULES": "y",
        "CONFIG_SECURITY_LOCKDOWN_LSM": "y",
        "CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY": "y",
        "CONFIG_MODULE_SIG": "y",
    }
)


@pytest.mark.parametrize(
    ("seen", "enforced", "deciders"),
    [
        # the four boots of Debian's 6.1
        (SignatureEvidence(param=False, lockdown=NONE, lsm=ACTIVE), False, ("sig_enforce", "lockdown")),
        (SignatureEvidence(param=True, lockdown=NONE, lsm=ACTIVE), True, ("sig_enforce",)),
        (SignatureEvidence(param=False, lockdown=INTEGRITY, lsm=ACTIVE), True, ("lockdown",)),
        (SignatureEvidence(param=True, lockdown=INTEGRITY, lsm=ACTIVE), True, ("sig_enforce", "lockdown")),
        # a level that nothing enforces (<= 6.12 without the LSM)
        (SignatureEvidence(param=False, lockdown=INTEGRITY, lsm=("capability",)), False, ("sig_enforce", "lockdown")),
        # securityfs not mounted
        (SignatureEvidence(param=False), None, ()),
        (SignatureEvidence(param=False, config=FORCED), False, ("sig_enforce", "lockdown")),
        (SignatureEvidence(param=False, config=DEBIAN), None, ()),
        (
            SignatureEvidence(param=False, config=DEBIAN, cmdline=CommandLineFacts(lockdown="integrity")),
            True,
            ("lockdown",),
        ),
        (SignatureEvidence(param=False, cmdline=CommandLineFacts(lockdown="integrity")), None, ()),
        (SignatureEvidence(param=False, config=BUILT_LOCKED), True, ("lockdown",)),
        # sysfs not readable, or the kernel checks nothing
        (SignatureEvidence(config=NO_SIG, lsm=("capability",)), False, ("config",)),
        (SignatureEvidence(config=NO_SIG), False, ("config",)),
        (SignatureEvidence(config=FORCED, lsm=()), True, ("config",)),
        (SignatureEvidence(config=DEBIAN, lsm=(), cmdline=CommandLineFacts(sig_enforce=True)), True, ("cmdline",)),
        (SignatureEvidence(config=DEBIAN, lsm=()), None, ()),
        (SignatureEvidence(), None, ()),
        (SignatureEvidence(config=NO_MODULES, lsm=ACTIVE, lockdown=INTEGRITY), None, ()),
    ],
)
def test_signature_enforcement_when_evidence_then_decision(
    seen: SignatureEvidence, enforced: bool | None, deciders: tuple[str, ...]
) -> None:
    found = signature_enforcement(seen)
    assert (found.enforced, found.deciders) == (enforced, deciders)
    assert found.explanation.endswith(".")


maybe = st.none() | st.booleans()
evidence = st.builds(
    SignatureEvidence,
    param=maybe,
    lockdown=st.sampled_from([None, NONE, INTEGRITY]),
    lsm=st.sampled_from([None, ACTIVE, ("capability",)]),
    cmdline=st.none() | st.builds(CommandLineFacts, sig_enforce=maybe, lockdown=st.sampled_from([None, "integrity"])),
    config=st.sampled_from([None, DEBIAN, NO_SIG, NO_MODULES, FORCED, BUILT_LOCKED]),
)


@given(evidence)
def test_signature_enforcement_when_any_evidence_then_the_kernel_s_own_word_wins(seen: SignatureEvidence) -> None:
    found = signature_enforcement(seen)
    if seen.param:
        assert found.enforced is True
    if locked_down(seen) and seen.config is not NO_MODULES:
        assert found.enforced is True
    if seen.param is False and locked_down(seen) is False:
        assert found.enforced is False
    assert (found.enforced is None) == (not found.deciders)
