"""A synthetic host of any size: /proc/modules and /sys/module as plain files, in the format that kernels print."""

from pathlib import Path

from kmodmon.system.root import Root


def make_host(base: Path, modules: int, parameters: int) -> Root:
    """Write `modules` modules with `parameters` parameters in all below `base`."""
    (base / "proc/sys/kernel").mkdir(parents=True)
    lines = []
    each = parameters // modules if modules else 0
    for number in range(modules):
        name = f"module_{number:05}"
        holders = f"module_{number - 1:05}," if number % 10 == 1 else "-"
        taint = " (OE)" if number % 50 == 0 else ""
        lines.append(f"{name} {16384 + 4096 * (number % 30)} {number % 4} {holders} Live 0x0000000000000000{taint}\n")
        directory = base / "sys/module" / name
        (directory / "parameters").mkdir(parents=True)
        (directory / "initstate").write_text("live\n")
        (directory / "srcversion").write_text(f"{number:024X}\n")
        (directory / "coresize").write_text("16384\n")
        for index in range(each):
            value = ("Y\n", f"{number * index}\n", f"text{number}\n", "1,2,3\n")[index % 4]
            (directory / "parameters" / f"p{index}").write_text(value)
    (base / "sys/kernel").mkdir(parents=True)
    (base / "sys/kernel/uevent_seqnum").write_text("4711\n")
    (base / "proc/modules").write_text("".join(lines))
    (base / "proc/sys/kernel/tainted").write_text("12288\n")
    (base / "proc/version").write_text("Linux version 6.1.0-synthetic (x@y) (gcc) #1 SMP PREEMPT_DYNAMIC\n")
    path = str(base).encode()
    return Root(procfs=path + b"/proc", sysfs=path + b"/sys", securityfs=path + b"/sec", efivars=path + b"/efi")
