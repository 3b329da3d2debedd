"""The trust posture of recorded kernels; null for what a kernel does not say."""

from dataclasses import replace

from kmodmon.kernel.efivar import SecureBoot
from kmodmon.kernel.livepatch import Livepatch, PatchState
from kmodmon.subjects.posture import Posture, Switches
from kmodmon.view.posture import posture_view
from tests.view.recorded import LOCKED_DOWN, NO_MODULES, in_order, recorded


def test_posture_when_a_locked_down_tree_is_read_then_each_key_has_its_own_value() -> None:
    posture = replace(
        recorded(LOCKED_DOWN).posture,
        secure_boot=SecureBoot.SETUP_MODE,
        livepatches={"patch_b": Livepatch(state=PatchState.ENABLING), "patch_a": Livepatch(state=PatchState.ENABLED)},
    )
    assert posture.switches is not None
    assert in_order(posture_view(posture)) == in_order({
        "lockdown": "integrity", "signature_enforced": True, "signature_enforced_by": ["lockdown"],
        "signature_enforcement": "Unsigned modules are refused: lockdown is integrity.", "secure_boot": "setup_mode",
        "modules_disabled": False, "modprobe": "/sbin/modprobe", "settings": dict(posture.switches.settings),
        "livepatches": {"patch_b": "enabling", "patch_a": "enabled"}, "counters": {"oops_count": 0, "warn_count": 0},
    })  # fmt: skip
    assert posture.switches.settings["kexec_load_limit_panic"] == -1 and posture.switches.settings["sysrq"] == 438


def test_posture_when_nothing_was_read_then_everything_is_null_or_empty() -> None:
    assert in_order(posture_view(Posture())) == in_order({
        "lockdown": None, "signature_enforced": None, "signature_enforced_by": [], "signature_enforcement": None,
        "secure_boot": None, "modules_disabled": None, "modprobe": None, "settings": {}, "livepatches": {},
        "counters": {},
    })  # fmt: skip


def test_posture_when_the_kernel_has_no_modules_then_the_switches_are_null_and_never_false() -> None:
    shown = posture_view(recorded(NO_MODULES).posture)
    assert (shown["lockdown"], shown["signature_enforced"], shown["modules_disabled"]) == (None, None, None)
    assert str(shown["signature_enforcement"]).startswith("It cannot be told")


def test_posture_when_the_switches_are_read_then_true_and_the_empty_helper_are_shown_as_they_are() -> None:
    shown = posture_view(Posture(switches=Switches(modules_disabled=True, modprobe="")))
    assert (shown["modules_disabled"], shown["modprobe"]) == (True, "")
