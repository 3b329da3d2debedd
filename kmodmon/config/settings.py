"""All settings, and the table of them that is read from the sections (`kmodmon.config.sections`)."""
# ruff: noqa: RUF009 - a section is frozen, so it may be a shared default

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kmodmon.config.sections import (
    ActorSettings,
    BaselineSettings,
    CertificateSettings,
    Declared,
    ExpectedSettings,
    FilesSettings,
    HistorySettings,
    JournalSettings,
    KmsgSettings,
    LogSettings,
    ParameterSettings,
    PathSettings,
    PolicyFileSettings,
    PollSettings,
    RetentionSettings,
    TraceSettings,
    UeventSettings,
    WebSettings,
)
from kmodmon.config.values import ValueType


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings; one field per section, in the order of the file that `kmodmon export config` writes."""

    web: WebSettings = WebSettings()
    path: PathSettings = PathSettings()
    poll: PollSettings = PollSettings()
    parameters: ParameterSettings = ParameterSettings()
    kmsg: KmsgSettings = KmsgSettings()
    uevent: UeventSettings = UeventSettings()
    trace: TraceSettings = TraceSettings()
    actor: ActorSettings = ActorSettings()
    files: FilesSettings = FilesSettings()
    certificates: CertificateSettings = CertificateSettings()
    baseline: BaselineSettings = BaselineSettings()
    policy: PolicyFileSettings = PolicyFileSettings()
    expected: ExpectedSettings = ExpectedSettings()
    history: HistorySettings = HistorySettings()
    retention: RetentionSettings = RetentionSettings()
    journal: JournalSettings = JournalSettings()
    log: LogSettings = LogSettings()

    def differences(self, new: "Settings") -> "tuple[Difference, ...]":
        """Give each setting whose value in `new` differs, in the order of the table."""
        values = ((row, row.value_in(self), row.value_in(new)) for row in SETTINGS)
        return tuple(Difference(setting=row, old=before, new=after) for row, before, after in values if before != after)

    def reloaded(self, new: "Settings") -> "Settings":
        """Give `new`, with the present value of each setting that needs a restart."""
        return build_settings({row.key: row.value_in(self if row.restart else new) for row in SETTINGS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table. `section` and `field`: where its value is in :class:`Settings`."""

    section: str
    field: str
    key: str  # dotted, as in the TOML file
    flags: tuple[str, ...]
    kind: ValueType[object]
    default: object
    help: str
    restart: bool
    environ: str
    below: str

    def value_in(self, settings: Settings) -> object:
        value: object = getattr(getattr(settings, self.section), self.field)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting whose value changes on reload."""

    setting: Setting
    old: object
    new: object


def _rows() -> Iterator[Setting]:
    defaults = Settings()
    for section in dataclasses.fields(Settings):
        for field in dataclasses.fields(getattr(defaults, section.name)):
            declared: Declared = field.metadata["declared"]
            key = f"{section.name}.{declared.key or field.name}"
            yield Setting(
                section=section.name,
                field=field.name,
                key=key,
                flags=(*declared.flags, "--" + key.replace("_", "-")),
                kind=declared.kind,
                default=field.default,
                help=declared.help,
                restart=declared.restart,
                environ=declared.environ,
                below=declared.below,
            )


SETTINGS: tuple[Setting, ...] = tuple(_rows())


def build_settings(values: Mapping[str, object]) -> Settings:
    """Build settings from checked values by key; a key that is not given has its default."""
    sections: dict[str, dict[str, object]] = {}
    for row in SETTINGS:
        sections.setdefault(row.section, {})[row.field] = values.get(row.key, row.default)
    defaults = Settings()
    return dataclasses.replace(
        defaults,
        **{name: dataclasses.replace(getattr(defaults, name), **fields) for name, fields in sections.items()},
    )
