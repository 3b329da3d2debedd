"""One screen: taint in words with causes, posture, counts by trust, what cannot be seen. API and `kmodmon status`."""

from kmodmon import __version__
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.state.state import State
from kmodmon.state.trust import trust
from kmodmon.subjects.kernel import Kernel
from kmodmon.types.units import JsonObject
from kmodmon.view.findings import baseline_view, finding_view, policy_view, severities_view, standing
from kmodmon.view.posture import posture_view
from kmodmon.view.taint import taint_view


def status_view(state: State) -> JsonObject:
    """The host at one look."""
    inventory = state.inventory
    trusted = dict.fromkeys((verdict.value for verdict in SignatureStatus), 0)
    for module in inventory.modules.values():
        trusted[trust(state, module).value] += 1
    return {
        "kmodmon": __version__,
        "boot_id": state.boot_id,
        "started": state.started.realtime_usec,
        "kernel": None if state.kernel is None else kernel_view(state.kernel),
        "module_support": inventory.support,
        "modules": {"loaded": len(inventory.modules), "builtin": len(inventory.builtin), "by_trust": trusted},
        "tainted_modules": [
            {"module": module.name, "taint": module.taint} for module in inventory.modules.values() if module.taint
        ],
        "taint": taint_view(state),
        "posture": posture_view(state.posture),
        "findings": [finding_view(one) for one in standing(state)],
        "findings_by_severity": severities_view(state),
        "policy": policy_view(state),
        "baseline": baseline_view(state),
        "kernels_newer": list(state.files.newer),
        "degraded": [{"source": source.name, "why": source.why} for source in state.sources.values() if not source.up],
    }


def kernel_view(kernel: Kernel) -> JsonObject:
    """Identity of the kernel, and what its command line says about modules."""
    facts = kernel.cmdline
    return {
        "release": kernel.release,
        "version": kernel.version,
        "machine": kernel.machine,
        "boot_time": kernel.boot_time,
        "cmdline": None
        if facts is None
        else {
            "nomodule": facts.nomodule,
            "module.sig_enforce": facts.sig_enforce,
            "lockdown": facts.lockdown,
            "module_blacklist": list(facts.module_blacklist),
            "modprobe.blacklist": list(facts.modprobe_blacklist),
        },
    }
