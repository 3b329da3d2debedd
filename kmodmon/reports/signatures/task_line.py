r"""Lines of the kernel that begin with the name of a task, which the task chose: prctl(PR_SET_NAME), at most 15 bytes.

So a line that begins with words of a report may be one of these: a task named `Oops: 0002 [#1]` gives `Oops: 0002
[#1][19363] bad frame in rt_sigreturn ...`. What the kernel prints behind the name tells: :func:`without_name` puts
another name in its place, and a signature is believed when it still matches. Signatures of messages that begin with a
task's name themselves (`NAME invoked oom-killer: `) do; a banner that only the name made does not.

Each wording is longer than a name. So no task can put one into the name that a report prints behind its own first
words (`INFO: task NAME:PID blocked`), and have that report taken for such a line.
"""

import re

MAX_NAME = 15  # bytes: TASK_COMM_LEN without the NUL

# `name[12]`, `name(12)`, `name (12)`, `name (pid 12)`, `name/12`.
_PID = r"(?:\[\d+\]|\(\d+\)| \(\d+\)| \(pid \d+\)|/\d+)"
_HEX = r"[0-9a-f]+"

# What follows the name, and the kernel file that prints it.
TAILS: tuple[tuple[str, str], ...] = (
    (rf"{_PID}: segfault at {_HEX} ip ", "arch/*/mm/fault.c"),
    (rf"{_PID}: [a-z ]{{1,40}} \(\d+\) at {_HEX} nip |{_PID}: code: (?:[0-9a-fX]{{8}} |<[0-9a-f]{{8}}>){{2}}",
     "arch/powerpc/kernel/traps.c, process.c"),
    (rf"{_PID}:? bad frame in \w+", "arch/*/kernel/signal.c"),
    (rf"{_PID}: bad (?:syscall|stack|frame)\b.{{0,60}} (?:nip|pc|sp)\b", "arch/powerpc/kernel/traps.c"),
    (rf"{_PID} overflowed sigaltstack", "arch/x86/kernel/signal.c"),
    (rf"{_PID} [\w ()=,;-]{{1,80}} ip:{_HEX} cs:{_HEX} sp:",
     "arch/x86/entry/vsyscall/vsyscall_64.c"),
    (rf"{_PID} (?:trap )?[a-z][\w ,-]{{1,60}} ip:{_HEX} sp:{_HEX} error:", "arch/x86/kernel/traps.c"),
    (rf"{_PID} attempts to use CLI/STI", "arch/x86/kernel/traps.c"),
    (rf"{_PID} is installing a program with bpf_probe_write_user", "kernel/trace/bpf_trace.c"),
    (rf"{_PID}: unhandled (?:signal \d+ code|exception:)", "arch/riscv/kernel/traps.c, arch/arm64/kernel/traps.c"),
    (rf"{_PID}: syscall \d+ not implemented|{_PID}: Unimplemented ", "arch/*/kernel/"),
    (rf"{_PID}: User access of kernel address", "arch/powerpc/mm/fault.c"),
    (rf"{_PID}: (?:possible hazard|floating-point assist fault|unaligned (?:access|trap))", "arch/ia64, arch/alpha"),
    (rf"{_PID}: potentially unexpected fatal signal \d+", "kernel/signal.c print_fatal_signal()"),
    (rf"{_PID}: reached RLIMIT_SIGPENDING", "kernel/signal.c"),
    (rf"{_PID}: (?:drop_caches|undefined instruction|highest shadow stack usage): ",
     "fs/drop_caches.c, arch/arm/kernel/traps.c, kernel/scs.c"),
    (rf"{_PID}: (?:Attempt to access syslog|Using (?:fanotify permission|mlock ulimits)|VmData \d+ exceed|"
     r"attempted to duplicate|/proc/\d+/oom_adj is deprecated)", "kernel/printk/printk.c, fs/, mm/"),
    (rf"{_PID} (?:Use of \w+ in \w+|is setting (?:deprecated|an IV_INO)|used (?:greatest stack|obsolete)|"
     r"uses (?:deprecated|a deprecated|obsolete)|(?:read from|stored to) unsupported|encountered an unaligned|"
     r"made unaligned access)", "kernel/exit.c, mm/mmap.c, fs/crypto/policy.c, net/sctp/socket.c"),
    (r": \d+ output lines suppressed due to ratelimiting", "include/linux/ratelimit.h ratelimit_state_exit()"),
    (r": (?:uninitialized urandom read|Corrupted page table at address|unhandled page fault \(|unaligned epc - |"
     r"calling unsupported SCSI_IOCTL|using deprecated /proc/|CONFIG_KUSER_HELPERS disabled|unimplemented OSF mmap|"
     r"attempt to access beyond end of device)", "drivers/char/random.c, arch/*/mm/fault.c, block/"),
    (r": (?:page allocation (?:failure|stalls for)|vmalloc (?:error|allocation failure))[:,] ?|"
     r": .{1,80}, mode:0x[0-9a-f]+\([^)]{1,200}\), nodemask=", "mm/page_alloc.c warn_alloc()"),
    (r" invoked oom-killer: gfp_mask=", "mm/oom_kill.c dump_header()"),
    (rf"{_PID} is (?:trying to |freeing memory |leaving the kernel )|{_PID} just changed the state|"
     rf"{_PID} \[HC\d+\[\d+\]:SC\d+\[\d+\]:", "kernel/locking/lockdep.c"),
    (rf"{_PID}: ?$", "kernel/locking/lockdep.c"),
    (r"/\d+\] FS: \S+ File: ", "fs/ioctl.c ioctl_fibmap()"),
    (r" wants too many credits", "fs/jbd2/transaction.c start_this_handle()"),
    (r": (?:read|write) addr \d+ > nvram_size", "arch/powerpc/platforms/chrp/nvram.c"),
    (r" (?:calls setitimer\(\) with|sent an empty control message|uses (?:obsolete \(PF_INET|old SIOCAX25)|"
     r"used emulated \S+ instruction|using unsupported default IPA|wrote to \S{1,64} when file position|"
     r"passes broken AGP[23] flags|requested AGPx8 but|tried to set rate=x)",
     "kernel/, net/, crypto/, drivers/char/agp/"),
)  # fmt: skip

# A byte of the name may be written as an escape.
_TASK_LINE = re.compile(
    rf"(?P<prefix>(?:(?:x86/)?traps: |signal: |JBD2: |\[)?)(?P<name>(?:\\x[0-9a-f]{{2}}|.){{0,{MAX_NAME}}}?)"
    rf"(?P<tail>{'|'.join(tail for tail, _ in TAILS)})"
)
_ANY_NAME = "task"
# Lines that begin with a text of any length: what was to be mounted, the name of a USB device or a file, a driver.
_TEXT_LINE = re.compile(
    r".*(?P<tail>: Can't (?:open|lookup) blockdev|: Fixing fullspeed to highspeed interval: \d+ -> \d+|"
    r" is not a file|"
    r" sets custom speed on .{1,40}\. This is deprecated\.)$"
)


def without_name(text: str) -> str | None:
    """Return the line with another name in place of the task's; None: the line begins with no such name."""
    match = _TEXT_LINE.match(text)
    if match is not None:
        return f"{_ANY_NAME}{match['tail']}"
    match = _TASK_LINE.match(text)
    return None if match is None else f"{match['prefix']}{_ANY_NAME}{text[match.start('tail') :]}"
