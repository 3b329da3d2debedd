"""The summary of a host: taint with its causes, posture, modules by trust, findings, and sources that are not up."""

from kmodmon import __version__
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.state.state import State
from kmodmon.state.trust import trust
from kmodmon.subjects.kernel import Kernel
from kmodmon.types.units import JsonObject
from kmodmon.view.findings import baseline_view, enforced_findings, finding_view, policy_view, severities_view
from kmodmon.view.posture import posture_view
from kmodmon.view.taint import taint_view


def status_view(state: State) -> JsonObject:
    """The summary of one state, for the API and `kmodmon status --json`."""
    inventory = state.inventory
    by_trust = dict.fromkeys((status.value for status in SignatureStatus), 0)
    for module in inventory.modules.values():
        by_trust[trust(state, module).value] += 1
    return {
        "kmodmon": __version__,
        "boot_id": state.boot_id,
        "started": state.started.realtime_usec,
        "kernel": None if state.kernel is None else kernel_view(state.kernel),
        "module_support": inventory.support,
        "modules": {"loaded": len(inventory.modules), "builtin": len(inventory.builtin), "by_trust": by_trust},
        "tainted_modules": [
            {"module": module.name, "taint": module.taint} for module in inventory.modules.values() if module.taint
        ],
        "taint": taint_view(state),
        "posture": posture_view(state.posture),
        "findings": [finding_view(finding) for finding in enforced_findings(state)],
        "findings_by_severity": severities_view(state),
        "policy": policy_view(state),
        "baseline": baseline_view(state),
        "kernels_newer": list(state.files.newer),
        "degraded": [
            {"source": source.name, "why": source.why, "hung": source.hung}
            for source in state.sources.values()
            if not source.up
        ],
    }


def kernel_view(kernel: Kernel) -> JsonObject:
    """Identity of the kernel, and the arguments on its command line that concern modules."""
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
