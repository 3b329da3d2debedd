"""Event kinds, one class each: its public type, MESSAGE_ID, sentence, explanation and the fields of its JSON.

A kind is declared in the file of its theme and listed here; nothing else lists kinds.
"""

from collections.abc import Mapping
from types import MappingProxyType

from kmodmon.events.event import EventKind, EventType
from kmodmon.events.kinds import daemon, log, module, policy, posture, source, taint

EVENT_KINDS: Mapping[EventType, EventKind] = MappingProxyType(
    {
        details.kind.type: details.kind
        for details in (
            module.ModuleLoaded,
            module.ModuleUnloaded,
            module.ModuleTransient,
            module.ModuleLoadFailed,
            module.ModuleChanged,
            module.ModuleHidden,
            module.ModuleUnhidden,
            module.ModuleRequested,
            module.SignalsContradicted,
            taint.TaintAdded,
            taint.TaintCleared,
            posture.LockdownChanged,
            posture.ModulesDisabled,
            posture.SignatureEnforcementChanged,
            posture.PostureChanged,
            posture.LockdownDenied,
            posture.ParameterChanged,
            log.KernelReported,
            log.LogForged,
            log.LogLost,
            source.SourceLost,
            source.SourceRecovered,
            policy.PolicyViolated,
            policy.BaselineDrifted,
            policy.FileChanged,
            daemon.ConfigRefused,
            daemon.Started,
            daemon.Stopped,
        )
    }
)
"""Every kind by its public type."""
