"""How to make a stock kernel say each thing that kmodmon should understand: one case, one report.

``crash_mod`` (modules/crash_*.c) does most of it. Not among them, because Debian's kernels do not have what it takes:
KASAN, KMSAN, KCSAN, lockdep, kmemleak, might_sleep() checks (CONFIG_DEBUG_ATOMIC_SLEEP), workqueue stall reports;
KFENCE comes with 6.12, UBSAN with 7.2. lkdtm, which could do the same, is not among Debian's modules.
"""

from dataclasses import dataclass

# The watchdogs' limits, lowered so that a stall of ten seconds is one.
_WATCHDOGS = """sysctl -qw kernel.watchdog_thresh=2
sysctl -qw kernel.hung_task_timeout_secs=3 kernel.hung_task_check_interval_secs=1
echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout
"""
_CRASH = "insmod /opt/modules/crash_mod.ko"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A script for the guest; the report is read from the kernel log, or from the console of a kernel that panicked."""

    name: str
    script: str
    # The log is read until it was quiet for so many seconds, at most `limit`.
    quiet: float = 3
    limit: float = 40
    options: tuple[str, ...] = ()
    monitor: str | None = None
    panics: bool = False


def _crash(kind: str) -> Case:
    return Case(name=kind, script=f"{_CRASH} kind={kind}")


def _stall(kind: str, seconds: int = 10) -> Case:
    return Case(name=kind, script=f"{_WATCHDOGS}{_CRASH} kind={kind} seconds={seconds}", quiet=seconds + 5, limit=90)


def _panic(name: str, script: str, *options: str) -> Case:
    return Case(name=name, script=script, options=options, panics=True)


_TRAPS = """null_deref null_read page_fault gpf divide invalid_op jump_null exec_data write_ro bug
    list_del_twice list_add_twice refcount_underflow refcount_use_after_free refcount_saturated double_free slab_leak
    bad_page vmalloc_huge_size fortify field_span ubsan_bounds ubsan_shift atomic_sleep atomic_mutex
    warn warn_on warn_taint dump sysfs_duplicate proc_duplicate levels forged"""

_IN_INIT = tuple(
    Case(name=f"{kind}-init", script=f"{_CRASH} kind={kind} context=init")
    for kind in ("null_deref", "warn", "usercopy")
)

_KFENCE = tuple(
    Case(
        name=kind,
        script=f"echo 1 >/sys/module/kfence/parameters/sample_interval; {_CRASH} kind={kind}",
        quiet=5,
    )
    for kind in ("kfence_uaf", "kfence_oob", "kfence_corrupt", "kfence_invalid_free")
)

_PYTHON_SEGFAULTS = 'for a in 0 0x123; do python3 -c "import ctypes; ctypes.string_at($a)"; done'
_EAT_MEMORY = "python3 -c 'import mmap; a = [mmap.mmap(-1, 8 << 20, flags=0x8022) for _ in range(100)]'"

_MACHINE = (
    Case(name="page_alloc", script=f"{_CRASH} kind=page_alloc", quiet=12),
    Case(name="segfault", script=_PYTHON_SEGFAULTS),
    # With little memory, so that it is soon gone: under emulation every page costs.
    Case(name="oom", script=_EAT_MEMORY, quiet=15, limit=90, options=("mem=320M",)),
    Case(name="memcg_oom", script=f"systemd-run -q --wait -p MemoryMax=30M -p MemorySwapMax=0 {_EAT_MEMORY}", quiet=8),
    Case(
        name="io_error",
        script="modprobe scsi_debug opts=2 dev_size_mb=8 medium_error_start=64 medium_error_count=8; sleep 2\n"
        "dd if=/dev/sda of=/dev/null bs=4k",
        quiet=5,
    ),
    Case(
        name="filesystem",
        script="""
        cp /dev/vdc /tmp/image && python3 - <<'END'
with open("/tmp/image", "r+b") as image:  # blocks of 1024; the inodes of the first group, but for the reserved ones
    image.seek(2 * 1024)
    head = image.read(64)
    table = int.from_bytes(head[8:12], "little")
    image.seek(table * 1024 + 256 * 11)
    image.write(b"\\xa5" * 256 * 60)
END
        modprobe loop; mount -o loop /tmp/image /mnt; ls -lR /mnt >/dev/null 2>&1; touch /mnt/x""",
        quiet=4,
    ),
    Case(
        name="netdev_refcount",
        quiet=16,
        limit=90,
        script=f"""
        modprobe dummy; ip link add dummy0 type dummy; {_CRASH} kind=netdev_refcount seconds=25; sleep 1
        ip link del dummy0""",
    ),
    Case(
        name="sysrq",
        script="""
        echo 1 >/proc/sys/kernel/sysrq; for k in h w t m l; do echo $k >/proc/sysrq-trigger; done""",
    ),
    Case(name="nmi", script="sleep 6", quiet=7, monitor="nmi"),
    # CPU 0, bank 4: a corrected error of memory; then one that was not corrected
    Case(
        name="mce",
        script="echo 1 >/sys/devices/system/machinecheck/machinecheck0/check_interval; sleep 14",
        quiet=16,
        monitor="mce 0 4 0x9c00000000010090 0x0 0x1234000 0x8c",
    ),
    Case(
        name="mce_panic",
        script="sleep 12",
        monitor="mce 0 4 0xbe00000000010090 0x5 0x1234000 0x8c",
        panics=True,
    ),
)

_STALLS = (
    *(_stall(kind) for kind in ("soft_lockup", "rcu_stall", "hung_task", "workqueue_hog")),
    _stall("hard_lockup", 14),
    Case(
        name="soft_lockup-init",
        script=f"{_WATCHDOGS}{_CRASH} kind=soft_lockup context=init seconds=10",
        quiet=14,
        limit=60,
    ),
    Case(
        name="hung_mutex",
        script=f"{_WATCHDOGS}{_CRASH}\ncd /sys/module/crash_mod/parameters\n"
        "for i in 1 2; do echo hung_mutex >trigger & done",
        quiet=14,
        limit=60,
    ),
)

_LOADER = (
    Case(
        name="initfail",
        script="cd /opt/modules; insmod initfail_mod.ko; insmod initfail_mod.ko err=1; insmod initfail_mod.ko err=-12",
    ),
    Case(
        name="loader_lines",
        script="""cd /opt/modules
        for m in hello_unsigned prop_mod prop_user flags_mod taint_param_mod stack_b stack_a stack_b ns_user gpl_user \
                dup_symbol bad_symbol_mod wrong_vermagic wrong_crc truncated not_elf; do
            echo "== $m"; insmod ./$m.ko
        done
        rmmod taint_param_mod; insmod taint_param_mod.ko danger=1; rmmod prop_user
        insmod params_mod.ko int_rw=abc; insmod params_mod.ko nosuch=1
        rmmod hello_unsigned; modprobe --force-vermagic ./wrong_vermagic.ko
        cat /proc/modules /proc/sys/kernel/tainted""",
    ),
    Case(
        name="loader_lines-sig_enforce",
        options=("module.sig_enforce=1",),
        script="cd /opt/modules; for m in hello_unsigned signed_wrong truncated; do insmod ./$m.ko; done",
    ),
    Case(
        name="loader_lines-lockdown",
        options=("lockdown=integrity",),
        script="""cd /opt/modules; for m in hello_unsigned signed_wrong truncated; do insmod ./$m.ko; done
        dd if=/dev/mem of=/dev/null count=1; cat /proc/kcore | head -c 1; dd if=/proc/kcore of=/dev/null count=1""",
    ),
    Case(
        name="loader_lines-lockdown_confidentiality",
        options=("lockdown=confidentiality",),
        script="""cd /opt/modules; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do insmod hello_unsigned.ko; done
        ls /sys/kernel/tracing""",
    ),
    Case(
        name="odd_names",
        script='cd /opt/modules; for m in name_*.ko; do echo "== $m"; insmod ./$m; done; cat /proc/modules',
    ),
    Case(
        name="world_parameter",
        script="insmod /opt/modules/world_param_mod.ko; ls -l /sys/module/*/parameters/int_world",
    ),
    Case(
        name="forced_unload",
        script="cd /opt/modules; insmod permanent_mod.ko; rmmod -f permanent_mod; cat /proc/sys/kernel/tainted",
    ),
)

_PANICS = (
    _panic("panic", f"{_CRASH} kind=panic"),
    _panic("stack_overflow", f"{_CRASH} kind=stack_overflow"),
    _panic("stack_corrupt", f"{_CRASH} kind=stack_corrupt"),
    _panic("null_deref-timer", f"{_CRASH} kind=null_deref context=timer"),
    _panic("gpf-timer", f"{_CRASH} kind=gpf context=timer"),
    _panic("panic_on_oops", f"{_CRASH} kind=null_deref", "oops=panic"),
    _panic("panic_on_warn", f"{_CRASH} kind=warn", "panic_on_warn=1"),
    _panic("panic_on_taint", f"{_CRASH} kind=warn", "panic_on_taint=0x200"),
    _panic("softlockup_panic", f"{_WATCHDOGS}{_CRASH} kind=soft_lockup seconds=30", "softlockup_panic=1"),
    _panic("hung_task_panic", f"{_WATCHDOGS}sysctl -qw kernel.hung_task_panic=1\n{_CRASH} kind=hung_task seconds=40"),
    _panic("rcu_panic", f"{_WATCHDOGS}sysctl -qw kernel.panic_on_rcu_stall=1\n{_CRASH} kind=rcu_stall seconds=40"),
    _panic("oom_panic", f"sysctl -qw vm.panic_on_oom=1\n{_EAT_MEMORY}", "mem=320M"),
    _panic("oom_deadlock", f"choom -n -1000 -- {_EAT_MEMORY}", "mem=320M"),
    _panic("sysrq_crash", "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger"),
    _panic("init_killed", "mount --bind /bin/false /usr/lib/systemd/systemd; systemctl daemon-reexec"),
)

CASES: tuple[Case, ...] = (
    *(_crash(kind) for kind in _TRAPS.split()),
    *_IN_INIT,
    *_KFENCE,
    *_MACHINE,
    *_LOADER,
    *_STALLS,
    *_PANICS,
)
