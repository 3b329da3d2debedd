"""A host for the policy to judge: modules, their files, rules; everything goes through the pipeline."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from kmodmon.events.event import Event
from kmodmon.events.kinds.policy import PolicyViolated
from kmodmon.kernel.kconfig import Kconfig
from kmodmon.lifecycle.inventory import Module, SignatureStatus
from kmodmon.metrics import EVENT_METRICS
from kmodmon.pipeline import Rules
from kmodmon.policy.evaluate import PolicySettings
from kmodmon.state.observation import Reading
from kmodmon.state.state import State
from kmodmon.subjects.files import ModuleFilesRead
from kmodmon.subjects.findings import Finding
from kmodmon.subjects.kernel import Kernel, KernelRead
from kmodmon.subjects.module_file import ModuleFile, Package, SignatureFacts, Stamp, TreeOrigin
from kmodmon.subjects.rules import RulesFileRead
from kmodmon.types.outcome import Absent
from tests.states import Story, field, module

RELEASE = "6.1.0-18-amd64"
SIGNING = Kconfig(values=MappingProxyType({"CONFIG_MODULES": "y", "CONFIG_MODULE_SIG": "y"}))
NOT_SIGNING = Kconfig(values=MappingProxyType({"CONFIG_MODULES": "y", "CONFIG_MODULE_SIG": "n"}))


class Host(Story):
    """A story about a host on which files are examined and the policy was read."""

    def __init__(
        self, policy: str | None = None, *, expected: Sequence[str] = (), config: Kconfig = SIGNING,
        state: State | None = None, boot_time: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(state)
        self.rules = Rules(policy=PolicySettings(expected=tuple(expected)), event_metrics=EVENT_METRICS)
        self.loaded: dict[str, Module] = {}
        kernel = Kernel(release=RELEASE, version="#1", machine="x86_64", config=config, boot_time=boot_time)
        self.see("kernel", KernelRead(kernel=kernel))
        self.load()
        self.read_policy(policy)
        self.examine({})

    def read_policy(self, text: str | None) -> Sequence[Event]:
        raw = None if text is None else text.encode()
        return self.see("policy", RulesFileRead(what="policy", path="/etc/kmodmon/policy.toml", raw=raw))

    def read_baseline(self, text: str | None, host: str = "web-1.example") -> Sequence[Event]:
        raw = None if text is None else text.encode()
        return self.see("baseline", RulesFileRead(what="baseline", path="/b.toml", raw=raw, host=host))

    def load(self, *names: str, taint: str = "", after: float = 1.0) -> Sequence[Event]:
        for name in names:
            self.loaded[name] = module(name, taint, instance=100 + len(self.loaded))
        return self.modules(*self.loaded.values(), after=after)

    def unload(self, name: str) -> Sequence[Event]:
        del self.loaded[name]
        return self.modules(*self.loaded.values())

    def examine(self, files: Mapping[str, ModuleFile], hinted: Mapping[str, str] | None = None) -> Sequence[Event]:
        seen = ModuleFilesRead(
            files=files,
            instances={name: one.attributes.instance for name, one in self.loaded.items()},
            hinted=hinted or {},
            releases=(RELEASE,),
        )
        return self.see("files", seen)

    def files_absent(self) -> Sequence[Event]:
        return self.take("files", Reading(outcome=Absent("no module tree")))

    @property
    def findings(self) -> Mapping[str, Finding]:
        return self.state.findings.current

    @property
    def found(self) -> set[str]:
        """The ids of all findings."""
        return set(self.findings)


def file(
    name: str,
    verdict: SignatureStatus = SignatureStatus.VALID,
    origin: TreeOrigin = TreeOrigin.KERNEL,
    *,
    signer: str | None = "Debian",
    srcversion: str = "ABC",
    package: str | None = None,
    sha256: str = "00",
    changed: int = 1,
) -> ModuleFile:
    path = f"/lib/modules/{RELEASE}/{origin}/{name}.ko"
    return ModuleFile(
        name=name, path=path, origin=origin, srcversion=srcversion, license="GPL", sha256=sha256,
        stamp=Stamp(device=1, inode=2, size=3, mtime_nsec=4, ctime_nsec=changed),
        signature=SignatureFacts(
            verdict=verdict, reason="", signer=None if verdict is SignatureStatus.UNSIGNED else signer,
        ),
        package=None if package is None else Package(manager="dpkg", name=package),
    )  # fmt: skip


def missing_file(name: str) -> ModuleFile:
    return ModuleFile(name=name, origin=TreeOrigin.MISSING, problem="no file of this name")


def violated(events: Iterable[Event]) -> list[str]:
    """The findings that the events tell of."""
    return [str(field(event, "finding")) for event in events if event.type == PolicyViolated.kind.type]


def fresh_run(host: Host) -> State:
    """The state of a run that starts anew in the same boot, with what the checkpoints keep."""
    from kmodmon.state.checkpoint import CHECKPOINTS

    state = State(boot_id=host.state.boot_id, started=host.clock.now(), resumed=True)
    for checkpoint in CHECKPOINTS:
        state = checkpoint.load(state, checkpoint.save(host.state))
    return replace(state, resumed=True)
