"""The trust posture, which decides what code the kernel accepts: a tile for each switch, a table of settings."""

from collections.abc import Iterator

from kmodmon.kernel.efivar import SecureBoot
from kmodmon.kernel.sysctl import COUNTERS, HARDENING
from kmodmon.lifecycle.inventory import SignatureStatus
from kmodmon.state.state import State
from kmodmon.state.trust import trust
from kmodmon.types.source_name import SourceName
from kmodmon.web.page.html import NOTHING, Markup, code, counted, element, escaped, joined, listing, table
from kmodmon.web.page.modules import BAD_SIGNATURES
from kmodmon.web.page.page_data import PageData

_BOOT_WORDS = {
    SecureBoot.ENABLED: ("enabled", "good", "The firmware starts only what a key in it vouches for."),
    SecureBoot.DISABLED: ("disabled", "plain", "The firmware starts whatever is installed."),
    SecureBoot.SETUP_MODE: ("setup mode", "warn", "There is no platform key: anybody may enrol one."),
    SecureBoot.SHIM_VALIDATION_DISABLED: ("shim validation off", "warn", "It is on, but shim verifies nothing."),
    SecureBoot.UNKNOWN: ("unknown", "unknown", "The firmware's variables do not say."),
}
_LOCKDOWN_WORDS = {
    "none": ("plain", "Root may read and change the running kernel."),
    "integrity": ("good", "Userspace cannot change the running kernel."),
    "confidentiality": ("good", "Userspace can neither change the running kernel nor read its secrets."),
}


def posture(data: PageData) -> Markup:
    """The section: tiles, live patches, hardening settings and the kernel's counters."""
    state = data.state
    tiles = element(
        "dl", *_modules(state), *_signatures(state), *_lockdown(state), *_secure_boot(state), *_loading(state),
        class_="tiles",
    )  # fmt: skip
    return joined((tiles, _livepatches(state), _settings(state)))


def _tile(name: str, value: str, tone: str, words: str) -> Iterator[Markup]:
    yield element(
        "div",
        element("dt", name),
        element("dd", value, class_="value"),
        element("dd", words, class_="words"),
        class_=f"tile {tone}",
    )


def _unknown(state: State, name: str, source: SourceName) -> Iterator[Markup]:
    source_state = state.sources.get(source)
    return _tile(name, "cannot be told", "unknown", source_state.why if source_state is not None else "")


def _modules(state: State) -> Iterator[Markup]:
    inventory = state.inventory
    if inventory.support is None:
        return _unknown(state, "Modules", SourceName.MODULES)
    if not inventory.support:
        return _tile("Modules", "none", "good", "This kernel was built without loadable modules.")
    verdicts = dict.fromkeys(SignatureStatus, 0)
    for module in inventory.modules.values():
        verdicts[trust(state, module)] += 1
    counts = [
        element("strong" if verdict in BAD_SIGNATURES else "span", f"{count:,} {verdict.value}")
        for verdict, count in verdicts.items()
        if count
    ]
    words = joined(("Signatures: ", joined(counts, ", "), ".")) if counts else escaped("None is loaded.")
    return _tile("Modules loaded", f"{len(inventory.modules):,}", "plain", words)


def _signatures(state: State) -> Iterator[Markup]:
    enforcement = state.posture.enforcement
    if enforcement is None:
        return _unknown(state, "Module signatures", SourceName.POSTURE)
    value, tone = {True: ("enforced", "good"), False: ("not enforced", "plain"), None: ("cannot be told", "unknown")}[
        enforcement.enforced
    ]
    return _tile("Module signatures", value, tone, enforcement.explanation)


def _lockdown(state: State) -> Iterator[Markup]:
    lockdown = state.posture.lockdown
    if lockdown is None:
        return _unknown(state, "Lockdown", SourceName.LOCKDOWN)
    tone, words = _LOCKDOWN_WORDS.get(lockdown.mode, ("unknown", "A mode that this version of kmodmon does not know."))
    return _tile("Lockdown", lockdown.mode, tone, words)


def _secure_boot(state: State) -> Iterator[Markup]:
    secure_boot = state.posture.secure_boot
    if secure_boot is None:
        return _unknown(state, "Secure Boot", SourceName.SECURE_BOOT)
    return _tile("Secure Boot", *_BOOT_WORDS[secure_boot])


def _loading(state: State) -> Iterator[Markup]:
    switches = state.posture.switches
    if switches is None or switches.modules_disabled is None:
        return _unknown(state, "Module loading", SourceName.POSTURE)
    if switches.modules_disabled:
        return _tile("Module loading", "disabled", "good", "No module can be loaded or unloaded until reboot.")
    if switches.modprobe:
        helper = joined(("The kernel loads modules on demand with ", code(switches.modprobe), "."))
    else:
        helper = escaped("The kernel does not load modules on demand." if switches.modprobe == "" else "")
    return _tile("Module loading", "allowed", "plain", helper)


def _livepatches(state: State) -> Markup:
    patches = state.posture.livepatches
    if not patches:
        return NOTHING
    items = (joined((code(name), " ", patch.state.value)) for name, patch in sorted(patches.items()))
    return joined((element("h3", "Live patches"), listing(items)))


def _settings(state: State) -> Markup:
    switches = state.posture.switches
    values = {**(switches.settings if switches is not None else {}), **state.posture.counters}
    settings = [setting for setting in (*HARDENING, *COUNTERS) if setting.name in values]
    if not settings:
        return NOTHING
    rows = (
        element(
            "tr",
            element("th", code(setting.name), scope="row", title=setting.interface),
            element("td", f"{values[setting.name]}", class_="n"),
            element("td", setting.meaning),
        )
        for setting in settings
    )
    summary = element("summary", counted(len(settings), "setting"), " of hardening, and the kernel's own counters")
    return element("details", summary, table(("Setting", "Value", "Meaning"), rows, class_="settings"), id="settings")
