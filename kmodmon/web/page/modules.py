"""The table of modules; each column is one entry of COLUMNS."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from kmodmon.events.sentence import actor_words
from kmodmon.kernel.modules import ModuleState
from kmodmon.kernel.taint import FLAGS, Flag, parse_letters
from kmodmon.lifecycle.inventory import Loaded, Module, SignatureStatus
from kmodmon.state.state import State
from kmodmon.state.trust import Provenance, kernel_verifies, provenance_of, record_of, trust
from kmodmon.subjects.files import Origin
from kmodmon.types.text import raw_bytes
from kmodmon.web.page.html import (
    NOTHING,
    Markup,
    binary_size,
    code,
    code_list,
    counted,
    element,
    escaped,
    joined,
    moment,
    pill,
)
from kmodmon.web.page.page_data import PageData

MAX_ROWS = 500
MAX_HOLDERS = 8
BAD_SIGNATURES = (SignatureStatus.UNSIGNED, SignatureStatus.INVALID)
_SIGNATURE_TONES = {
    SignatureStatus.VALID: "good",
    SignatureStatus.SIGNED: "plain",
    SignatureStatus.UNSIGNED: "bad",
    SignatureStatus.INVALID: "bad",
    SignatureStatus.UNKNOWN: "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRow:
    """What the cells of one module show."""

    module: Module
    provenance_of: Provenance
    loaded: Loaded | None
    flags: tuple[Flag, ...] = FLAGS


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleColumn:
    """One column: `cell` renders it, `key` sorts it; None: the script sorts by the text of the cell."""

    title: str
    cell: Callable[[ModuleRow], Markup]
    key: Callable[[ModuleRow], int] | None = None
    numeric: bool = False


def _name(row: ModuleRow) -> Markup:
    module = row.module
    address = f"api/v1/modules/{quote(raw_bytes(module.name), safe='')}"
    parts = [element("a", code(module.name), href=address)]
    if module.attributes.version is not None:
        parts.append(element("small", module.attributes.version))
    if module.state is not ModuleState.LIVE:
        parts.append(pill(module.state.value, "warn"))
    if module.permanent:
        parts.append(pill("permanent", "plain"))
    return joined(parts, " ")


def _holders(row: ModuleRow) -> Markup:
    return code_list(row.module.holders, MAX_HOLDERS)


def _taint(row: ModuleRow) -> Markup:
    if not row.module.taint:
        return NOTHING
    read = parse_letters(row.module.taint, row.flags)
    words = [flag.label.replace("_", " ") for flag in read.flags]
    words += [f"unknown letter {letter}" for letter in read.unknown]
    return element("abbr", row.module.taint, title=", ".join(words), class_="k")


def _signature(row: ModuleRow) -> Markup:
    verdict = row.provenance_of.signature
    shown = pill(verdict.value, _SIGNATURE_TONES[verdict])
    signer = row.provenance_of.signer
    return joined((shown, element("small", signer, title=signer)), " ") if signer else shown


def _origin(row: ModuleRow) -> Markup:
    origin = row.provenance_of.origin
    if origin is Origin.UNKNOWN:
        return NOTHING
    parts = [pill(origin.value, "bad") if origin is Origin.MEMORY else escaped(origin.value)]
    if row.provenance_of.differs:
        parts.append(pill("differs from its file", "warn"))
    if row.provenance_of.file is not None and row.provenance_of.file.package is not None:
        parts.append(element("small", row.provenance_of.file.package.name))
    return joined(parts, " ")


def _loaded(row: ModuleRow) -> Markup:
    if row.loaded is None:
        return NOTHING
    if row.loaded.at is not None:
        return moment(row.loaded.at.realtime_usec)
    return escaped("while kmodmon was down" if row.loaded.while_down else "before kmodmon")


def _actor(row: ModuleRow) -> Markup:
    return NOTHING if row.loaded is None or row.loaded.actor is None else code(actor_words(row.loaded.actor))


def _references(row: ModuleRow) -> Markup:
    return NOTHING if row.module.refcnt is None else escaped(str(row.module.refcnt))


COLUMNS: tuple[ModuleColumn, ...] = (
    ModuleColumn(title="Module", cell=_name),
    ModuleColumn(
        title="Size",
        cell=lambda row: escaped(binary_size(row.module.size)),
        key=lambda row: row.module.size,
        numeric=True,
    ),
    ModuleColumn(title="Refs", cell=_references, numeric=True),
    ModuleColumn(title="Used by", cell=_holders),
    ModuleColumn(title="Taint", cell=_taint),
    ModuleColumn(title="Signature", cell=_signature),
    ModuleColumn(title="Origin", cell=_origin),
    ModuleColumn(
        title="Loaded",
        cell=_loaded,
        key=lambda row: 0 if row.loaded is None or row.loaded.at is None else row.loaded.at.realtime_usec,
    ),
    ModuleColumn(title="By", cell=_actor),
)


def is_suspicious(state: State, module: Module) -> bool:
    """Whether a module taints the kernel, is not signed, or has an invalid signature."""
    return bool(module.taint) or trust(state, module) in BAD_SIGNATURES


def shown_modules(state: State) -> tuple[Module, ...]:
    """At most MAX_ROWS modules in the order of /proc/modules, newest first; suspicious ones are left out last."""
    modules = tuple(state.inventory.modules.values())
    if len(modules) <= MAX_ROWS:
        return modules
    ranked = sorted(modules, key=lambda module: not is_suspicious(state, module))
    names = {module.name for module in ranked[:MAX_ROWS]}
    return tuple(module for module in modules if module.name in names)


def head() -> Markup:
    """The heading row; the script turns the headings into buttons that sort."""
    cells = (
        element(
            "th",
            column.title,
            scope="col",
            data_sort="number" if column.numeric or column.key else "text",
            class_="n" if column.numeric else None,
        )
        for column in COLUMNS
    )
    return element("thead", element("tr", *cells))


def count(data: PageData) -> Markup:
    """How many modules are loaded, and how many of them the table shows."""
    loaded = len(data.state.inventory.modules)
    if loaded <= MAX_ROWS:
        return escaped(f"{counted(loaded, 'module')}, newest first.")
    return joined(
        (
            f"{MAX_ROWS:,} of {loaded:,} modules are shown here, those that taint or are not signed before others. ",
            element("a", "All of them", href="api/v1/modules"),
            " (JSON), or ",
            element("code", "kmodmon modules"),
            ".",
        )
    )


class ModuleRows:
    """Renders the body of the table; the row of a module that did not change is taken from the last rendering."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[tuple[object, ...], Markup]] = {}

    def render(self, data: PageData) -> Markup:
        """The rows, or one that says why there are none."""
        state = data.state
        modules = shown_modules(state)
        if not modules:
            self._rows = {}
            empty = "No module is loaded." if state.inventory.support is not None else "The list could not be read."
            return element("tr", element("td", empty, colspan=len(COLUMNS)))
        self._rows = {module.name: self._row(state, module) for module in modules}
        return joined((row for _, row in self._rows.values()), Markup("\n"))

    def _row(self, state: State, module: Module) -> tuple[tuple[object, ...], Markup]:
        loaded = state.inventory.loaded.get(module.name)
        parts = (module, loaded, record_of(state, module), kernel_verifies(state), state.taint.flags)
        earlier = self._rows.get(module.name)
        if earlier is not None and all(map(operator.is_, earlier[0], parts)):
            return earlier
        row = ModuleRow(
            module=module, provenance_of=provenance_of(state, module), loaded=loaded, flags=state.taint.flags
        )
        return parts, row_markup(row)


def row_markup(row: ModuleRow) -> Markup:
    """The ``tr`` element of `row`."""
    first, *others = COLUMNS
    cells = [element("th", first.cell(row), scope="row")]
    for column in others:
        key = None if column.key is None else column.key(row)
        cells.append(element("td", column.cell(row), data_key=key, class_="n" if column.numeric else None))
    suspicious = bool(row.module.taint) or row.provenance_of.signature in BAD_SIGNATURES
    return element("tr", *cells, data_name=row.module.name, class_="sus" if suspicious else None)
