"""Faults in kernel code: bad pointers, illegal instructions, BUG(); all architectures.

Kernel files: arch/*/mm/fault.c, arch/*/kernel/traps.c, lib/bug.c. Wordings of x86 that changed:

- `BUG: unable to handle kernel NULL pointer dereference at ADDR` up to 5.0, `BUG: kernel NULL pointer dereference,
  address: ADDR` in 5.3 and later; `kernel paging request at` became `page fault for address:` in the same releases.
- `general protection fault: 0000 [#1]` up to 5.4; 5.8 has `, probably for non-canonical address ADDR` before the code.
- The die line `Oops: 0002 [#1]` up to 6.8 is `Oops: Oops: 0002 [#1]` in 6.11 and later. PREEMPT moved from its end to
  the task line between 6.14 and 6.17.
- `traps: PANIC: double fault` has the prefix in 5.8 and later. `kernel BUG at FUNC` without a file exists in 7.2.
"""

from kmodmon.events.event import Severity
from kmodmon.events.report import ReportClass
from kmodmon.reports.signatures.signature import FUNC, PLACE, LogSignature, MatchStage

_OOPS = ReportClass.OOPS
_CRITICAL = Severity.CRITICAL
_READ = "Look at the function and the module named; update or unload that module, and report the bug with the trace."
_REBOOT = "Save the log and reboot soon: the task died in the middle of kernel code. " + _READ

SIGNATURES: tuple[LogSignature, ...] = (
    LogSignature(
        name="exec_protected", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.PREFACE,
        title="kernel tried to execute a protected page",
        contains=("exploit attempt?", "(SMEP?)"),
        pattern=r"(?:BUG: )?(?:kernel tried to execute|unable to execute|Kernel attempted to exec)\b"
        r".*(?:exploit attempt\?|\(SMEP\?\))",
        help="The kernel jumped into memory that it must not execute or access.",
        advice="Treat it as a possible attack until the report that follows is explained. " + _REBOOT,
        origin="arch/x86/mm/fault.c show_fault_oops(), arch/powerpc/mm/fault.c bad_kernel_fault()",
    ),
    LogSignature(
        name="user_page", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.PREFACE, weak=True,
        title="kernel used a user page",
        contains=("exploit attempt?",),
        pattern=r"Kernel attempted to (?:read|write|access)\b.*exploit attempt\?",
        help="Kernel code used an address of user space; a NULL pointer is one, too.",
        advice=_REBOOT,
        origin="arch/powerpc/mm/fault.c bad_kernel_fault()",
    ),
    LogSignature(
        name="null_pointer", report_class=_OOPS, severity=_CRITICAL,
        title="NULL pointer dereference",
        contains=("NULL pointer dereference",),
        pattern=r"(?:<\d>)?(?:CPU -?\d+:? )?(?:BUG: (?:[Uu]nable to handle (?:kernel )?|[Kk]ernel )|"
        r"Unable to handle (?:kernel )?)"
        r"NULL pointer dereference",
        help="Kernel code used a pointer that was NULL (or a small offset from it).",
        advice=_REBOOT,
        origin="arch/x86/mm/fault.c show_fault_oops(), arch/*/mm/fault.c",
        wording="x86 <= 5.0 and others `unable to handle kernel NULL pointer dereference at ADDR`; "
        "x86 >= 5.3 `kernel NULL pointer dereference, address: ADDR`; powerpc `on read|write at`",
    ),
    LogSignature(
        name="page_fault", report_class=_OOPS, severity=_CRITICAL,
        title="page fault on a bad kernel address",
        contains=("nable to handle", "nable to access opcode", "BUG: Int "),
        pattern=r"(?:<\d>)?(?:(?:CPU -?\d+:? )?(?:BUG: [Uu]|U)nable to handle "
        r"(?:kernel|page fault for address|unknown paging fault|paging request|user access)\b|"
        r"BUG: unable to handle page fault$|BUG: Int (?:\d+|0x[0-9a-f]+): CR2 )",
        help="Kernel code used an address that is not mapped or not allowed.",
        advice=_REBOOT,
        origin="arch/*/mm/fault.c",
        wording="x86 <= 5.0 `unable to handle kernel paging request at`; x86 >= 5.3 `unable to handle page fault for "
        "address:`; arm, arm64, riscv `Unable to handle kernel paging request at virtual address`",
    ),
    LogSignature(
        name="kernel_fault", report_class=_OOPS, severity=_CRITICAL,
        title="kernel fault",
        contains=("Kernel Fault: Code=", "Bad Address (null pointer", "Kernel addressing fault", "): Kernel Fault",
                  " (code "),
        pattern=r"(?:Kernel Fault: Code=|Bad Address \(null pointer deref\?\)|Kernel addressing fault|"
        r"\S.{0,14} \(pid \d+\): (?:Kernel Fault|[A-Z][\w ]{3,60} \(code \d+\)))",
        help="Kernel code used an address that is not mapped or not allowed (parisc, powerpc wording).",
        advice=_REBOOT,
        origin="arch/parisc/kernel/traps.c parisc_terminate()",
    ),
    LogSignature(
        name="kasan_range", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.PREFACE, weak=True,
        title="bad address: {kind}",
        contains=("KASAN: ",),
        pattern=r"KASAN: (?P<kind>null-ptr-deref|maybe wild-memory-access|probably user-memory-access|"
        r"maybe [\w-]+) in "
        r"range \[",
        help="KASAN says which address a fault in kernel code was about; the fault itself is reported beside it.",
        advice=_REBOOT,
        origin="mm/kasan/report.c kasan_non_canonical_hook()",
        wording="since 5.6, below `general protection fault` or above `Unable to handle`",
    ),
    LogSignature(
        name="unhandled_fault", report_class=_OOPS, severity=_CRITICAL,
        title="unhandled fault: {what}",
        contains=("Unhandled fault: ", "Unhandled prefetch abort: ", "Bad mode in ", "Bad kernel stack pointer",
                  "Unhandled exception", " exception on CPU", " Unavailable Exception ", "Bad trap at PC: "),
        pattern=r"(?:CPU \d+:? )?(?P<what>Unhandled fault: .*? \(0x[0-9a-f]+\) at 0x"
        # A fault of a program that mapped a device; for a fault in kernel code, die() prints a line of its own.
        r"(?!(?:b[0-9a-e]|[0-7][0-9a-f])[0-9a-f]{6}\b|0000[0-9a-f]{12}\b)|Unhandled prefetch abort: |"
        r"Bad mode in [\w ,/-]+ (?:handler|exception) detected|"
        r"Bad kernel stack pointer |Unhandled exception in kernel|Unhandled (?:\d\d-bit )?el\d[ht] \w+ exception on "
        r"CPU\d+, ESR 0x|Unrecoverable (?:[A-Z]{2,3} )?Unavailable Exception [0-9a-f]+ at |"
        r"Bad trap at PC: [0-9a-f]+, )",
        help="The processor raised an exception that the kernel has no handler for.",
        advice="Bus errors point to a driver that touches a device without power or clock. " + _READ,
        origin="arch/arm/mm/fault.c do_DataAbort(), arch/arm64/kernel/traps.c bad_mode(), __panic_unhandled()",
    ),
    LogSignature(
        name="bus_error", report_class=_OOPS, severity=_CRITICAL,
        title="bus error in kernel code",
        contains=("bus error, epc ==", "*** BUS ERROR ***", "Unrecoverable bus error", "_access_exception: ",
                  "*** ADDRESS ERROR ***"),
        pattern=r"(?:(?:CPU \d+:? )?(?:Data|Instruction) bus error, epc ==|\*\*\* BUS ERROR \*\*\*|"
        r"\*\*\* ADDRESS ERROR \*\*\*|Unrecoverable bus error|"
        r"(?:sun4v|spitfire)_(?:data|insn)_access_exception: \w+\[)",
        help="A memory or device access of kernel code was not answered.",
        advice="Look at the driver in the trace and at the device it drives. " + _READ,
        origin="arch/mips/kernel/traps.c do_be(), arch/m68k/kernel/traps.c",
    ),
    LogSignature(
        name="bug_on", report_class=ReportClass.BUG, severity=_CRITICAL,
        title="kernel BUG at {file}",
        contains=("ernel BUG at", "ernel BUG in ", "Kernel bug at "),
        pattern=rf"(?:<\d>)?(?:PREEMPT )?(?:[Kk]ernel BUG|Kernel bug(?= at [\w./+-]+\.[ch]:\d)) "
        rf"(?:in (?P<function2>\w+) )?at(?: (?:{PLACE}|(?P<where>\S+?:\d+|"
        rf"{FUNC}))|$)",
        help="A developer's assertion about the kernel's own state did not hold.",
        advice=_REBOOT,
        origin="lib/bug.c report_bug()",
        wording="`kernel BUG at FILE:LINE!`; 2.6 x86-64 `Kernel BUG at`; without CONFIG_DEBUG_BUGVERBOSE "
        "`Kernel BUG at FUNC [verbose debug info unavailable]`",
    ),
    LogSignature(
        name="bug_failure", report_class=ReportClass.BUG, severity=_CRITICAL,
        title="BUG: failure at {file}",
        contains=("BUG: failure at ",),
        pattern=rf"BUG: failure at {PLACE}",
        help="A developer's assertion about the kernel's own state did not hold (generic BUG()).",
        advice=_REBOOT,
        origin="include/asm-generic/bug.h",
    ),
    LogSignature(
        name="stack_guard_oops", report_class=ReportClass.STACK_OVERFLOW, severity=_CRITICAL, stage=MatchStage.DIE,
        title="kernel stack overflow",
        contains=("stack guard page: ", "kernel stack overflow"),
        pattern=r"(?:Oops: )?(?:stack guard page|[Kk]ernel stack overflow)\b.*\[#\d+\]",
        help="Kernel code ran over the end of its stack.",
        advice="Look for recursion in the trace; suspect the module that repeats in it. " + _REBOOT,
        origin="arch/x86/kernel/traps.c handle_stack_overflow()",
    ),
    LogSignature(
        name="die_panic", report_class=_OOPS, severity=_CRITICAL,
        title="double fault",
        contains=("PANIC: double fault", "PANIC: early exception"),
        pattern=r"(?:traps: |x86/traps: )?PANIC: (?:double fault|early exception)",
        help="A fault happened while the processor was delivering another; often a kernel stack overflow.",
        advice="Look for deep recursion or a smashed stack pointer. " + _REBOOT,
        origin="arch/x86/kernel/traps.c exc_double_fault()",
    ),
    LogSignature(
        name="general_protection", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.DIE,
        title="general protection fault",
        contains=("general protection fault",),
        pattern=r"(?:<\d>)?(?:Oops: )?general protection fault\b.*?(?:\[#?\d+\]|: [0-9a-f]{4}\b|for non-canonical)",
        help="Kernel code used an impossible address, typically a freed or overwritten pointer.",
        advice=_REBOOT,
        origin="arch/x86/kernel/traps.c exc_general_protection()",
        wording="since 5.5 with `, probably for non-canonical address`; since 6.11 after `Oops: `",
    ),
    LogSignature(
        name="invalid_opcode", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.DIE,
        title="invalid opcode",
        contains=("invalid opcode: ", "invalid operand: ", "ndefined instruction"),
        pattern=r"(?:<\d>)?(?:Oops: |Internal error: (?:Oops - )?)?(?:invalid op(?:code|erand)|[Uu]ndefined "
        r"instruction)"
        r": [0-9a-f]+.*\[#?\d+\]",
        help="The processor met an instruction it does not know in kernel code; BUG() works this way on x86.",
        advice=_REBOOT,
        origin="arch/x86/kernel/traps.c handle_invalid_op()",
    ),
    LogSignature(
        name="divide_error", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.DIE,
        title="divide error",
        contains=("divide error: ", "ivide by zero", "divide exception"),
        pattern=r"(?:<\d>)?(?:Oops: |\S.{0,14}\(\d+\): )?(?:divide error: |[Kk]ernel divide by zero|"
        r"fixpoint divide exception: |Divide by zero exception(?! in user)|TL0: Kernel divide by zero)",
        help="Kernel code divided by zero.",
        advice=_READ,
        origin="arch/x86/kernel/traps.c exc_divide_error()",
    ),
    LogSignature(
        name="bug_trap", report_class=ReportClass.BUG, severity=_CRITICAL, stage=MatchStage.DIE,
        title="kernel BUG",
        contains=("[#", "Kernel Bug ", "bugcheck! "),
        pattern=r"(?:(?:Internal error: |\S.{0,14}\(\d+\): )?(?:Oops - BUG|"
        r"Kernel [Bb](?:UG|ug)(?: detected)?)\b.*\[#\d+\]|\S.{0,14}\(\d+\): Kernel Bug \d+$|"
        r"\S.{0,14}\[\d+\]: bugcheck! \d+(?: \[\d+\])?$)",
        help="A developer's assertion about the kernel's own state did not hold.",
        advice=_REBOOT,
        origin="arch/*/kernel/traps.c",
        wording="arm `Internal error: Oops - BUG: 0 [#1]`, mips `Kernel bug detected[#1]:`, riscv `Kernel BUG [#1]`, "
        "alpha `COMM(PID): Kernel Bug 1`, ia64 `COMM[PID]: bugcheck! 0 [1]`",
    ),
    LogSignature(
        name="internal_error", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.DIE,
        title="internal error: {what}",
        contains=("Internal error: ",),
        pattern=r"Internal error: (?=.*\[#\d+\]|Oops|.*: [0-9a-f]{1,16}$)(?P<what>[A-Za-z][\w ,./()-]*?)?(?:: "
        r"[0-9a-f]+)?(?: \[#\d+\]|$|: )",
        help="The processor raised an exception in kernel code (arm and arm64 wording).",
        advice=_REBOOT,
        origin="arch/arm64/kernel/traps.c die(), arch/arm/kernel/traps.c die()",
    ),
    LogSignature(
        name="oops", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.DIE,
        title="Oops",
        contains=("Oops",),
        pattern=r"(?:<\d>)?(?:(?:\S.{0,14})?(?:\(\d+\)|\[\d+\]|\(pid \d+\)): |CPU \d+ )?"
        r"Oops(?:#?:? ?(?:[\w ,.'()/-]*, sig: |sig: |kernel access of bad area)| - |"
        r" ?\[#\d+\]:?[ A-Z_]*(?:NR_CPUS=.*)?$|: Fatal|#?: "
        r"?[0-9a-f]{4,16}\b|"
        r": .*\[#\d+\]| [0-9]+(?: \[\d+\])?$|$)",
        help="Kernel code failed and the task that ran it was killed.",
        advice=_REBOOT,
        origin="arch/*/kernel/traps.c die()",
        wording="x86 <= 6.8 `Oops: 0002 [#1]`, >= 6.11 `Oops: Oops: 0002 [#1]`; powerpc `Oops: TEXT, sig: 11 [#1]`; "
        "mips, loongarch `Oops[#1]:`; sparc `COMM(PID): Oops [#1]`; riscv `Oops [#1]`; arc `Oops` alone",
    ),
    LogSignature(
        name="trap_name", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.DIE,
        title="{what}",
        contains=("Instruction fault ", "Arithmetic fault ", "NaT consumption ", "General Exception: ",
                  "Unsupported data reference ", "Disabled FP-register ", "Illegal operation fault ", " ***  "),
        pattern=r"(?:\S.{0,14}\(\d+\): (?P<what>Instruction fault|Arithmetic fault) \d+$|"
        r"\S.{0,14}\[\d+\]: (?P<what2>NaT consumption|General Exception: [\w ,/()-]{4,60}|Unsupported data reference|"
        r"Disabled FP-register|Illegal operation fault) \d+(?: \[\d+\])?$|"
        r"\*\*\* (?P<what3>[A-Z][A-Za-z]+(?: [A-Z][A-Za-z0-9]+){0,3}) \*\*\* +FORMAT=)",
        help="The processor raised an exception in kernel code and the task that ran it was killed.",
        advice=_REBOOT,
        origin="arch/alpha/kernel/traps.c die_if_kernel(), arch/ia64/kernel/traps.c die(), arch/m68k/kernel/traps.c",
        wording="alpha `COMM(PID): Arithmetic fault 1`, ia64 `COMM[PID]: NaT consumption N [1]`, m68k `*** TRAPcc ***`",
    ),
    LogSignature(
        name="xmon", report_class=_OOPS, severity=_CRITICAL,
        title="exception {what}",
        contains=(": Vector: ",),
        pattern=r"cpu 0x[0-9a-f]+: Vector: [0-9a-f]+ (?P<what>\([\w /.-]+\)) at \[",
        help="An exception in kernel code stopped the machine in the xmon debugger (powerpc).",
        advice=_REBOOT,
        origin="arch/powerpc/xmon/xmon.c excprint()",
    ),
    LogSignature(
        name="die", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.DIE,
        title="{what}",
        contains=("[#",),
        # A line that ends in the name of a file or an option is no die line.
        pattern=r"(?!.*\b(?:path|file|option|directory|"
        r"name)\b)(?:(?P<task>\S.{0,14}\(\d+\): ))?(?P<what>[A-Za-z#][A-Za-z0-9 ,.'()/#_!-]{1,60}?)"
        r"(?:: [0-9a-f]{2,16}(?: ilc:\d)?,? ?\[#\d+\]|[,:] sig: \d+ \[#\d+\]| ?\[#\d+\]:|(?(task) \[#\d+\]|(?!)))"
        # Only flags follow. A process named `Oops: 0002 [#1]` is in a sentence, which goes on.
        r"[ A-Z_]*(?:NR_CPUS=.*)?$",
        help="The processor raised an exception in kernel code and the task that ran it was killed.",
        advice=_REBOOT,
        origin="arch/*/kernel/traps.c die()",
        wording="the counter `[#N]` counts the oopses of this boot on every architecture",
    ),
    LogSignature(
        name="cfi_failure", report_class=_OOPS, severity=_CRITICAL, stage=MatchStage.PREFACE, weak=True,
        title="CFI failure",
        contains=("CFI failure", "Missing ENDBR: "),
        pattern=rf"(?:traps: |x86/traps: )?(?:CFI failure (?:at |\(target:? ?)|Missing ENDBR: ){FUNC}",
        help="Control flow integrity stopped an indirect call to a function of another type.",
        advice="A mismatched function pointer in a driver, or an attack. " + _REBOOT,
        origin="kernel/cfi.c report_cfi_failure(), arch/x86/kernel/cet.c",
    ),
    LogSignature(
        name="rust_panic", report_class=ReportClass.BUG, severity=_CRITICAL, stage=MatchStage.PREFACE,
        title="Rust code panicked at {file}",
        contains=("panicked at ",),
        pattern=rf"[\w-]+: (?:thread .* )?panicked at (?:'.*', )?{PLACE}",
        help="Rust code of the kernel met a state that it holds to be impossible.",
        advice=_REBOOT,
        origin="rust/kernel/lib.rs panic()",
        wording="since 6.1",
    ),
    LogSignature(
        name="spl_panic", report_class=ReportClass.BUG, severity=_CRITICAL,
        title="{what} failed",
        contains=("VERIFY", "PANIC at ", "ASSERT", "SPL PANIC", "PANIC: ", "LBUG"),
        pattern=r"(?:(?:SPLError|LustreError): \d+:\d+:\(\S+ )?(?:(?P<what>VERIFY\d?|ASSERT(?:ION)?\d?|"
        r"PANIC)(?:(?:\((?:(?!\w: ).)*\))? "
        r"failed(?: \(|$)| at [\w./-]+\.c:\d+:\w+\(\))|(?P<what2>SPL PANIC|LBUG)$|"
        r"(?P<what3>PANIC): (?=\S+: (?:blkptr at |adding |removing |freeing |allocating )|blkptr at |"
        r"\w+ (?:existent|nonexistent|free|allocated) segment)(?!double|early))",
        help="ZFS met a state that it holds to be impossible and stopped the task.",
        advice="Check the pool (`zpool status`, scrub) and update ZFS.",
        origin="module/os/linux/spl/spl-err.c (OpenZFS)",
    ),
    LogSignature(
        name="bug_generic", report_class=ReportClass.BUG, severity=Severity.ERROR,
        title="BUG: {what}",
        contains=("BUG: using ", "BUG: Dentry ", "BUG: workqueue leaked", "BUG: Function graph", "BUG: unsupported FP",
                  "BUG: FP", "BUG: looking for a dentry", "BUG: recent printk", "BUG: nobody cared", "BUG: corrupted",
                  "BUG: Unable to handle", "BUG: driver ", "BUG: atomic counter"),
        pattern=r"BUG: (?P<what>using (?:__this_cpu_\w+|smp_processor_id|\w+)(?:\(\))? in preemptible|"
        r"Dentry [0-9a-f]{8,16}\{i=|"
        r"workqueue leaked (?:lock or )?atomic|workqueue leaked lock|workqueue leaked|Function graph tracer hang|"
        r"unsupported FP instruction|FP instruction issued|FPU is used|atomic counter underflow|corrupted )",
        help="A debugging check of the kernel did not hold.",
        advice=_READ,
        origin="lib/smp_processor_id.c, fs/dcache.c, kernel/workqueue.c",
    ),
)  # fmt: skip
