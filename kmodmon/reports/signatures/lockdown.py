"""Lockdown: what the kernel denied because it is locked down.

Kernel file: security/lockdown/lockdown.c (mainline since 5.4; Ubuntu's 4.18 has its own). The name in the line is that
of the acting process, not of a module. For a module, 5.4 and later print `unsigned module loading`, Ubuntu's 4.18
`Loading of unsigned module`. Newer kernels (6.1.192, 6.12, 7.2; not 5.4.291) limit the rate and print the number of
denials left out: `lockdown_is_locked_down: N callbacks suppressed`.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import LoadFailure, ReportClass
from kmodmon.reports.signatures.signature import LogSignature, MatchStage

SIGNATURES: tuple[LogSignature, ...] = (
    LogSignature(
        name="lockdown_module", report_class=ReportClass.LOCKDOWN_DENIAL, severity=Severity.WARNING,
        stage=MatchStage.NOTICE,
        title="unsigned module refused by lockdown",
        contains=("is restricted; see",),
        pattern=r"Lockdown: (?:(?P<comm>.{0,16}?): )?(?P<symbol>(?:unsigned module loading|"
        r"Loading of unsigned module)) "
        r"is restricted; see (?:man kernel_lockdown|https?://)",
        help="The kernel is locked down and takes only signed modules. The line names the process, not the module.",
        advice="Sign the module with an enrolled key, or turn lockdown (Secure Boot) off.",
        origin="security/lockdown/lockdown.c lockdown_is_locked_down()", reason=LoadFailure.LOCKDOWN,
        wording="4.18 Ubuntu `Loading of unsigned module`",
    ),
    LogSignature(
        name="lockdown_denial", report_class=ReportClass.LOCKDOWN_DENIAL, severity=Severity.NOTICE,
        stage=MatchStage.NOTICE,
        title="lockdown: {symbol}",
        contains=("is restricted; see",),
        pattern=r"Lockdown: (?:(?P<comm>.{0,16}?): )?(?P<symbol>.{1,80}?) is restricted; see "
        r"(?:man kernel_lockdown|https?://)",
        help="The kernel is locked down and refused an operation that could change or read kernel memory.",
        advice="Expected with Secure Boot; find the program if it is not.",
        origin="security/lockdown/lockdown.c lockdown_is_locked_down()",
        wording="since 5.4; earlier in distributions' kernels",
    ),
    LogSignature(
        name="lockdown_suppressed", report_class=ReportClass.LOCKDOWN_DENIAL, severity=Severity.NOTICE,
        stage=MatchStage.NOTICE,
        title="lockdown denials suppressed",
        contains=("lockdown_is_locked_down: ",),
        pattern=r"lockdown_is_locked_down: (?P<symbol>\d+) callbacks suppressed",
        help="More lockdown denials happened than were printed.", advice="Find the program that repeats them.",
        origin="security/lockdown/lockdown.c",
    ),
)  # fmt: skip
