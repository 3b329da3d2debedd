"""The names of the sources; public (label `source`, `kmodmon doctor`), and a misspelt one is a type error."""

import enum


class SourceName(enum.StrEnum):
    """Every source; CLOCK is the passing of time, which no interface tells."""

    KERNEL = "kernel"
    MODULES = "modules"
    TAINT = "taint"
    POSTURE = "posture"
    LOCKDOWN = "lockdown"
    SECURE_BOOT = "secure_boot"
    COUNTERS = "counters"
    LIVEPATCH = "livepatch"
    PARAMETERS = "parameters"
    BUILTIN = "builtin"
    PSTORE = "pstore"
    CROSSVIEW = "crossview"
    MODPROBE = "modprobe"
    POLICY = "policy"
    BASELINE = "baseline"
    FILES = "files"
    TRACE = "trace"
    UEVENT = "uevent"
    KMSG = "kmsg"
    WATCH = "watch"
    CLOCK = "clock"
