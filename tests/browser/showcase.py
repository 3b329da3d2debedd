"""A server's few days, told to the pipeline: what the screenshots in README show, and most of what the page has."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.event import Actor, Event, Process, Severity, recorded_event
from kmodmon.events.kinds.daemon import Started
from kmodmon.events.kinds.module import ModuleLoadFailed
from kmodmon.kernel.cmdline import CommandLineFacts
from kmodmon.kernel.efivar import SecureBoot
from kmodmon.kernel.lockdown import Lockdown
from kmodmon.kernel.parameter import ParameterKind, ParameterValue
from kmodmon.lifecycle.inventory import Module, ModuleAttributes, SignatureStatus
from kmodmon.lifecycle.signals import TraceEntry, TraceKind, TraceRead
from kmodmon.state.observation import Tick
from kmodmon.state.state import State
from kmodmon.subjects.files import ModuleFilesRead
from kmodmon.subjects.kernel import Kernel, KernelRead
from kmodmon.subjects.log import LogRead
from kmodmon.subjects.module_file import ModuleFile, Package, SignatureFacts, TreeOrigin
from kmodmon.subjects.parameters import Parameter, ParametersRead, ParameterTable
from kmodmon.subjects.posture import CountersRead, LockdownRead, SecureBootRead, Switches, SwitchesRead
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.subjects.self_stats import SelfMetric, SelfStats
from kmodmon.subjects.source import SourceState
from kmodmon.types.outcome import Observation
from kmodmon.types.source_name import SourceName
from kmodmon.types.units import Usec
from tests.states import BOOT, Story

DAY = 86400.0
RELEASE = "6.12.57+deb13-amd64"
SOURCES = (
    "kernel",
    "modules",
    "taint",
    "posture",
    "lockdown",
    "secure_boot",
    "counters",
    "parameters",
    "trace",
    "kmsg",
)

MODULES = """
nft_chain_nat 12288 1
nf_nat 57344 1 nft_chain_nat
nf_conntrack 204800 1 nf_nat
nf_defrag_ipv6 24576 1 nf_conntrack
nf_defrag_ipv4 12288 1 nf_conntrack
nf_tables 380928 42 nft_chain_nat
wireguard 110592 0
libchacha20poly1305 16384 1 wireguard
curve25519_x86_64 40960 1 wireguard
ip6_udp_tunnel 16384 1 wireguard
udp_tunnel 32768 1 wireguard
overlay 217088 2
nvidia_drm 135168 2
nvidia_modeset 1646592 3 nvidia_drm
nvidia 97394688 91 nvidia_modeset
video 81920 1 nvidia_modeset
wmi 40960 1 video
nvme 65536 4
nvme_core 225280 5 nvme
nvme_auth 28672 1 nvme_core
ext4 1130496 2
mbcache 16384 1 ext4
jbd2 200704 1 ext4
crc16 12288 1 ext4
e1000e 364544 0
i40e 643072 0
libie 12288 1 i40e
mei_me 57344 0
mei 180224 1 mei_me
intel_rapl_msr 20480 0
intel_rapl_common 53248 1 intel_rapl_msr
x86_pkg_temp_thermal 16384 0
intel_powerclamp 20480 0
coretemp 16384 0
kvm_intel 434176 0
kvm 1421312 1 kvm_intel
irqbypass 12288 1 kvm
ghash_clmulni_intel 16384 0
sha512_ssse3 53248 0
aesni_intel 122880 2
iTCO_wdt 12288 0
intel_pmc_bxt 16384 1 iTCO_wdt
watchdog 49152 1 iTCO_wdt
sg 40960 0
button 24576 0
evdev 28672 3
msr 12288 0
efi_pstore 12288 0
configfs 69632 1
nfnetlink 20480 2 nf_tables
ip_tables 36864 0
x_tables 65536 1 ip_tables
autofs4 57344 2
"""
TAINTS = {"nvidia": "PO", "nvidia_modeset": "PO", "nvidia_drm": "PO"}
POLICY = b"""
[[rule]]
name = "graphics"
action = "allow"
[rule.match]
module = ["nvidia", "nvidia_*"]
origin = ["dkms"]

[[rule]]
name = "kernel-addresses"
action = "deny"
check = "posture"
reason = "Kernel addresses are shown to everybody, which helps exploits."
advice = "Set `kernel.kptr_restrict=1` in /etc/sysctl.d."
[rule.match]
setting = ["kptr_restrict"]
value = ["0"]
"""
WARNING = """
4,2101,{at},-;------------[ cut here ]------------
4,2102,{at},-;WARNING: CPU: 3 PID: 48213 at drivers/net/i40e/i40e_main.c:4121 i40e_clean+0x1f2/0x310 [i40e]
4,2103,{at},-;Modules linked in: nf_tables wireguard nvidia(PO) i40e nvme ext4
4,2104,{at},-;CPU: 3 UID: 0 PID: 48213 Comm: irqbalance Tainted: P           O       6.12.57+deb13-amd64 #1
4,2105,{at},-;RIP: 0010:i40e_clean+0x1f2/0x310 [i40e]
4,2106,{at},-;Call Trace:
4,2107,{at},-; <TASK>
4,2108,{at},-; i40e_napi_poll+0x4c1/0x1220 [i40e]
4,2109,{at},-; __napi_poll+0x28/0x1b0
4,2110,{at},-; net_rx_action+0x2a4/0x390
4,2111,{at},-; handle_softirqs+0xd4/0x2c0
4,2112,{at},-; do_syscall_64+0x82/0x190
4,2113,{at},-; </TASK>
4,2114,{at},-;---[ end trace 0000000000000000 ]---
"""


def modules(*names: str) -> Sequence[Module]:
    """The modules of the list above, or those of these names."""
    lines = [line.split() for line in MODULES.split("\n") if line]
    return [
        Module(
            name=name,
            size=int(size),
            refcnt=int(refcnt),
            holders=tuple(holders),
            taint=TAINTS.get(name, ""),
            attributes=ModuleAttributes(
                instance=100 + place,
                srcversion=f"{place:024X}",
                version="580.95.05" if name.startswith("nvidia") else None,
            ),
        )
        for place, (name, size, refcnt, *holders) in enumerate(lines)
        if not names or name in names
    ]


def _file(module: Module) -> ModuleFile:
    """What the examiner finds of a module's file."""
    if module.name == "net_shim":
        return ModuleFile(name=module.name)
    origin, signer, package = TreeOrigin.KERNEL, "Debian Secure Boot Signer 2025 - linux", None
    if module.name.startswith("nvidia"):
        origin, signer = TreeOrigin.DKMS, "DKMS module signing key"
        package = Package(manager="dkms", name="nvidia-current", version="580.95.05")
    return ModuleFile(
        name=module.name,
        path=f"/lib/modules/{RELEASE}/{module.name}.ko.xz",
        origin=origin,
        srcversion=module.attributes.srcversion,
        signature=SignatureFacts(verdict=SignatureStatus.VALID, reason="verified", signer=signer),
        package=package,
    )


def actor(pid: int, comm: str, *cmdline: str, uid: int = 0, login_uid: int | None = None) -> Actor:
    """Who loads modules here."""
    process = Process(pid=pid, comm=comm, exe=f"/usr/bin/{comm}", cmdline=cmdline)
    shell = Process(pid=pid - 7, comm="bash", exe="/usr/bin/bash", cmdline=("-bash",))
    return Actor(process=process, uid=uid, login_uid=login_uid, parents=(shell,), unit="ssh.service")


class Server(Story):
    """The host of the screenshots."""

    def __init__(self) -> None:
        super().__init__()
        self.clock.realtime_usec = 1_795_000_000_000_000
        sources = {SourceName(name): SourceState(name=SourceName(name)) for name in SOURCES}
        self.state = State(boot_id=BOOT, started=self.clock.now(), sources=sources)
        self.listed: list[Module] = list(modules())

    def days(self) -> "Server":
        """Boot, a vendor's driver at start, then a Tuesday with an unsigned module and what came of it."""
        self._begin()
        self._load(
            replace(modules("wireguard")[0], name="dummy"), actor(1490, "modprobe", "modprobe", "dummy"), 3 * 3600
        )
        self._parameter("Y", "N", after=DAY)
        self._unload("dummy", actor(1502, "rmmod", "rmmod", "dummy"), 5400.0)
        self._warning(6 * 3600.0)
        shim = Module(name="net_shim", size=24576, refcnt=0, taint="OE", attributes=ModuleAttributes(instance=900))
        who = actor(51877, "insmod", "insmod", "/tmp/.x/net_shim.ko", login_uid=1000)
        self._load(shim, who, 3480.0)
        self.taint(1 << 0 | 1 << 9 | 1 << 12 | 1 << 13)
        self._ticks(2)
        self._examined()
        self._happen(
            recorded_event(
                type=ModuleLoadFailed.kind.type, at=self.clock.now(), severity=Severity.WARNING, module="vboxdrv",
                actor=actor(51990, "modprobe", "modprobe", "vboxdrv"),
                evidence=("module vboxdrv: .gnu.linkonce.this_module section size must match",),
                fields={"reason": "bad_format"},
            )
        )  # fmt: skip
        self._switches(kptr_restrict=0, after=120.0)
        self.see("clock", Tick(), 41.0)
        self._examined()
        for name in ("modules", "taint", "posture", "lockdown", "counters"):
            self.state = self._read_now(SourceName(name))
        history = {
            SelfMetric.HISTORY_EVENTS: len(self.events),
            SelfMetric.HISTORY_BYTES: 98304,
            SelfMetric.HISTORY_HEALTHY: True,
        }
        self.state = replace(self.state, own=SelfStats(history))
        return self

    def _examined(self) -> None:
        files = {module.name: _file(module) for module in self.listed}
        instances = {module.name: module.attributes.instance for module in self.listed}
        self.see("files", ModuleFilesRead(files=files, instances=instances), 1.0)

    def _read_now(self, name: SourceName) -> State:
        source = replace(self.state.sources[name], last_read=self.clock.now())
        return replace(self.state, sources=MappingProxyType({**self.state.sources, name: source}))

    def _happen(self, event: Event) -> None:
        self.events.append(event)

    def _begin(self) -> None:
        kernel = Kernel(
            release=RELEASE, version="#1 SMP PREEMPT_DYNAMIC Debian 6.12.57-1 (2025-11-05)", machine="x86_64",
            boot_time=int(self.clock.now().seconds) - 64, cmdline=CommandLineFacts(),
        )  # fmt: skip
        self._happen(recorded_event(type=Started.kind.type, at=self.clock.now(), severity=Severity.NOTICE))
        self.see("kernel", KernelRead(kernel=kernel))
        self.modules(*self.listed)
        self.taint(1 << 0 | 1 << 12)
        self._switches(kptr_restrict=1)
        self.see(
            "lockdown",
            LockdownRead(lockdown=Lockdown(mode="none", available=("none", "integrity")), lsm=("lockdown", "apparmor")),
        )
        self.see("secure_boot", SecureBootRead(state=SecureBoot.DISABLED))
        self.see("counters", CountersRead(counters=MappingProxyType({"oops_count": 0, "warn_count": 0})))
        self.see("trace", TraceRead(began=True))
        self.see("kmsg", LogRead(records=(), end=True))
        self._parameters("Y")
        self._examined()
        self.see("policy", RulesFileRead(what="policy", path="/etc/kmodmon/policy.toml", raw=POLICY))
        self.see("baseline", RulesFileRead(what="baseline", path="/etc/kmodmon/baseline.toml", raw=None))

    def _switches(self, *, kptr_restrict: int, after: float = 0.0) -> None:
        settings = {
            "kptr_restrict": kptr_restrict,
            "dmesg_restrict": 1,
            "kexec_load_disabled": 0,
            "unprivileged_bpf_disabled": 2,
            "perf_event_paranoid": 3,
            "panic_on_oops": 0,
            "oops_limit": 10000,
            "sysrq": 438,
            "randomize_va_space": 2,
            "ptrace_scope": 1,
        }
        switches = Switches(
            settings=MappingProxyType(settings), modules_disabled=False, sig_enforce=False, modprobe="/sbin/modprobe",
            printk_devkmsg="on",
        )  # fmt: skip
        self.see("posture", SwitchesRead(switches=switches), after)

    def _parameters(self, value: str, after: float = 0.0) -> None:
        read = Parameter(
            value=ParameterValue(text=value, kind=ParameterKind.BOOLEAN, number=int(value == "Y")), mode=0o644
        )
        table = ParameterTable(parameters=MappingProxyType({"kvm": MappingProxyType({"ignore_msrs": read})}), read=True)
        self.see("parameters", ParametersRead(table=table), after)

    def _parameter(self, old: str, new: str, after: float) -> None:
        self._parameters(old, after)
        self._parameters(new)

    def _load(self, module: Module, who: Actor, after: float) -> None:
        self.clock.advance(after)
        at = Usec(self.clock.monotonic_usec)
        load = TraceEntry(kind=TraceKind.LOAD, monotonic_usec=at, tid=who.process.pid, module=module.name,
                          taint=module.taint, actor=who)  # fmt: skip
        done = TraceEntry(kind=TraceKind.INIT, monotonic_usec=Usec(at + 1200), tid=who.process.pid, ret=0)
        self.clock.advance(0.002)
        self.see("trace", TraceRead(entries=(load, done)))
        self.listed.insert(0, module)
        self.modules(*self.listed, after=0.01)
        self._ticks(3)

    def _unload(self, name: str, who: Actor, after: float) -> None:
        self.clock.advance(after)
        at = Usec(self.clock.monotonic_usec)
        free = TraceEntry(kind=TraceKind.FREE, monotonic_usec=at, tid=who.process.pid, module=name, actor=who)
        self.see("trace", TraceRead(entries=(free,)))
        self.listed = [module for module in self.listed if module.name != name]
        self.modules(*self.listed, after=0.01)
        self._ticks(3)

    def _warning(self, after: float) -> None:
        self.clock.advance(after)
        text = WARNING.format(at=self.clock.monotonic_usec)
        records = tuple(line.encode() for line in text.split("\n") if line)
        self._log(LogRead(records=records, end=True, live=True))
        self.taint(1 << 0 | 1 << 9 | 1 << 12, after=0.2)
        self.see("counters", CountersRead(counters=MappingProxyType({"oops_count": 0, "warn_count": 1})))
        self._ticks(5)

    def _log(self, read: Observation) -> None:
        self.see("kmsg", read)

    def _ticks(self, seconds: int) -> None:
        for _ in range(seconds):
            self.see("clock", Tick(), 1.0)
