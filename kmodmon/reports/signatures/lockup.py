"""CPUs and tasks that make no progress: lockups, stalls, hung tasks, sleeping where it is forbidden.

Kernel files: kernel/watchdog.c, watchdog_hld.c, kernel/rcu/tree_stall.h, tree_exp.h, tasks.h, kernel/hung_task.c,
kernel/workqueue.c, kernel/sched/core.c, kernel/irq/spurious.c. Wordings that changed:

- RCU: `INFO: rcu_sched detected stalls` in 4.18, with the prefix `rcu: ` in 5.0 and later.
- Hard lockup: `NMI watchdog: Watchdog detected hard LOCKUP on cpu N` up to 6.1, then with the prefix `watchdog: `, and
  `watchdog: CPUN: Watchdog detected ...` in 6.14 and later.
- Hung task: 7.2 may add ` in I/O wait` between `blocked` and `for more than`.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import COMM, LogSignature, MatchStage
from kmodmon.reports.signatures.warning import warning_at

_ATOMIC = ReportClass.ATOMIC_SLEEP
_STALL = "Look at the top of the trace of the CPU or task named, and at the module there."

SIGNATURES: tuple[LogSignature, ...] = (
    LogSignature(
        name="soft_lockup", report_class=ReportClass.SOFT_LOCKUP, severity=Severity.ERROR,
        title="soft lockup",
        contains=("BUG: soft lockup",),
        pattern=r"(?:<\d>)?(?:(?:NMI )?watchdog: (?:CPU\d+: )?|\[\w+\] )?BUG: soft lockup"
        r"(?: detected on CPU#(?P<cpu2>\d+)|"
        r"[. ]+- CPU\s?#(?P<cpu>\d+)"
        rf"(?: stuck for \d+s!?(?: -?\[{COMM}:(?P<pid>\d+)\])?)?|\b)",
        help="A CPU ran kernel code for many seconds without scheduling anything else.",
        advice="On a virtual machine the host may not have run it. " + _STALL,
        origin="kernel/watchdog.c watchdog_timer_fn()",
        wording="<= 2.6.22 `BUG: soft lockup detected on CPU#N!`",
    ),
    LogSignature(
        name="hard_lockup", report_class=ReportClass.HARD_LOCKUP, severity=Severity.CRITICAL,
        title="hard lockup",
        contains=("hard LOCKUP", "Hard LOCKUP", "detected LOCKUP"),
        pattern=r"(?:<\d>)?(?:NMI watchdog: |watchdog: |BUG: )?(?:Watchdog |NMI Watchdog )?"
        r"(?:CPU:? ?(?P<cpu>\d+)[: ] ?)?(?:Watchdog )?(?:self-)?(?:detected )?(?:Hard|hard)? ?LOCKUP(?: on (?:cpu|"
        r"CPU|other CPUs) ?#?(?P<cpu2>[\d,-]+)?)?",
        help="A CPU did not take interrupts for many seconds.",
        advice="It holds a lock or loops with interrupts off, or the hardware is at fault. " + _STALL,
        origin="kernel/watchdog_hld.c watchdog_overflow_callback(), arch/powerpc/kernel/watchdog.c",
        wording="<= 6.1 after `NMI watchdog: `, newer `watchdog: `",
    ),
    LogSignature(
        name="hard_lockup", report_class=ReportClass.HARD_LOCKUP, severity=Severity.CRITICAL,
        title="hard lockup",
        contains=("WARNING: ",),
        pattern=warning_at(r"kernel/watchdog(?:_hld)?\.c"),
        help="A CPU did not take interrupts for many seconds.",
        advice=_STALL,
        origin="kernel/watchdog.c watchdog_overflow_callback()",
        wording="<= 4.x as a WARN()",
    ),
    LogSignature(
        name="rcu_stall", report_class=ReportClass.RCU_STALL, severity=Severity.ERROR,
        title="RCU stall ({flavour})",
        contains=("detected stall ", "detected stalls", "detected expedited stall", "self-detected stall",
            "RCU detected CPU"),
        pattern=r"(?:<\d>)?(?:rcu: )?(?:INFO: )?(?P<flavour>rcu_?[a-z_]*|RCU)(?:_state)? (?:self-)?detected "
        r"(?:expedited )?(?:stalls?\b|CPU \d+ stall)",
        help="A CPU or task kept RCU waiting: it did not pass through a quiet state for many seconds.",
        advice="On a virtual machine the host may not have run it. " + _STALL,
        origin="kernel/rcu/tree_stall.h print_cpu_stall(), print_other_cpu_stall()",
        wording="before 5.0 without `rcu: `",
    ),
    LogSignature(
        name="rcu_starved", report_class=ReportClass.RCU_STALL, severity=Severity.ERROR,
        title="RCU kthread starved",
        contains=("kthread starved for", "kthread timer wakeup didn't"),
        pattern=r"(?:rcu: )?(?P<flavour>rcu_?[a-z]*) kthread (?:starved for|timer wakeup didn't happen for)",
        help="The thread that ends RCU grace periods did not get to run.",
        advice="Look for real-time tasks that never sleep, or interrupts that take all the time.",
        origin="kernel/rcu/tree_stall.h rcu_check_gp_kthread_starvation()",
    ),
    LogSignature(
        name="hung_task", report_class=ReportClass.HUNG_TASK, severity=Severity.ERROR,
        title="task hung",
        contains=(" blocked for more than ", " blocked in I/O wait for more than ", " can't die for more than "),
        pattern=rf"(?:<\d>)?INFO: task {COMM}:(?P<pid>\d+) (?:is )?(?:blocked|can't die)(?: in I/O wait)? "
        r"for more than",
        help="A task waited in the kernel, not to be interrupted, for minutes.",
        advice="It waits for a disk, a network file system or a lock: see the trace, and whether the device still "
        "answers.",
        origin="kernel/hung_task.c check_hung_task()",
    ),
    LogSignature(
        name="hung_task", report_class=ReportClass.HUNG_TASK, severity=Severity.ERROR, stage=MatchStage.LINE,
        title="task hung",
        contains=("hung_task_timeout_secs",),
        pattern=r"(?:<\d>)?\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message",
        help="A task waited in the kernel, not to be interrupted, for minutes; the line that names it is missing.",
        advice="It waits for a disk, a network file system or a lock: see the trace, and whether the device still "
        "answers.",
        origin="kernel/hung_task.c check_hung_task()",
    ),
    LogSignature(
        name="workqueue_lockup", report_class=ReportClass.WORKQUEUE_STALL, severity=Severity.ERROR,
        title="workqueue lockup",
        contains=("BUG: workqueue lockup",),
        pattern=r"BUG: workqueue lockup - pool",
        help="Queued kernel work did not run for many seconds.",
        advice="Look at the workers shown as in-flight and at the module whose work they run.",
        origin="kernel/workqueue.c wq_watchdog_timer_fn()",
        wording="since 4.5",
    ),
    LogSignature(
        name="scheduling_while_atomic", report_class=_ATOMIC, severity=Severity.ERROR,
        title="scheduling while atomic",
        contains=("cheduling while atomic", "scheduling in a non-blocking", "scheduling from the idle thread",
                  "scheduling with irqs disabled"),
        pattern=r"(?:<\d>)?(?:BUG: |bad: )?[Ss]cheduling (?:while atomic[!:]|in a non-blocking section: |from the "
        r"idle thread|"
        rf"with irqs disabled: )(?: ?{COMM}/(?P<pid>\d+)/(?=0x))?",
        help="Kernel code called the scheduler where it must not sleep.",
        advice="The module that holds the spinlock, or runs in the interrupt, is at fault: see the trace.",
        origin="kernel/sched/core.c __schedule_bug()",
    ),
    LogSignature(
        name="sleeping_in_atomic", report_class=_ATOMIC, severity=Severity.WARNING,
        title="sleeping function called from invalid context at {file}",
        contains=("leeping function called from", "BUG: assuming "),
        pattern=r"(?:<\d>)?(?:BUG: |Debug: )?(?:[Ss]leeping function called from (?:invalid|illegal) context"
        r"(?: \S.{0,24}\(\d+\)(?= at ))?|"
        r"assuming (?:atomic|non migratable) context)(?: at (?P<file>[\w./+~-]+):\d+|$| at$)",
        help="Kernel code called a function that may sleep where it must not.",
        advice="The module that holds the spinlock, or runs in the interrupt, is at fault: see the trace.",
        origin="kernel/sched/core.c __might_resched()",
    ),
    LogSignature(
        name="nobody_cared", report_class=ReportClass.OTHER, severity=Severity.ERROR,
        title="irq: nobody cared",
        contains=(": nobody cared", "bogus return value"),
        pattern=r"irq (?:event )?(?P<irq>\d+): (?:nobody cared|bogus return value)",
        help="An interrupt line fired and no driver took it; the kernel switches it off.",
        advice="Look at /proc/interrupts for the device on that line; its driver or its firmware is at fault.",
        origin="kernel/irq/spurious.c __report_bad_irq()",
    ),
    LogSignature(
        name="unexpected_irq", report_class=ReportClass.OTHER, severity=Severity.WARNING, stage=MatchStage.LINE,
        title="unexpected IRQ trap",
        contains=("nexpected IRQ trap", "nexpected interrupt trap"),
        pattern=r"[Uu]nexpected (?:IRQ|interrupt) trap at (?:vector|irq)",
        help="An interrupt came that nothing has asked for.",
        advice="A device or the interrupt controller is set up wrongly; once is harmless.",
        origin="arch/x86/kernel/irq.c ack_bad_irq()",
    ),
    LogSignature(
        name="nmi_unknown", report_class=ReportClass.NMI, severity=Severity.ERROR, stage=MatchStage.LINE,
        title="NMI for an unknown reason",
        contains=("NMI received", "Dazed and confused", "NMI: PCI system error", "NMI: IOCK error",
            "NMI: memory parity",
                  "Do you have a strange power saving"),
        pattern=r"(?:<\d>)?(?:Uhhuh\. )?(?:NMI received(?:\.| for unknown reason)|Dazed and confused, but trying|"
        r"NMI: PCI system error|"
        r"NMI: IOCK error|NMI: memory parity error|Do you have a strange power saving)",
        help="A non-maskable interrupt came that no driver knows the reason of; often a hardware error.",
        advice="Read the management controller's log; look for memory and PCI errors.",
        origin="arch/x86/kernel/nmi.c unknown_nmi_error(), pci_serr_error(), io_check_error()",
    ),
)  # fmt: skip
