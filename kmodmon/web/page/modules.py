"""The table of modules. Columns are data: what a module is known by is one line in COLUMNS."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from kmodmon.kernel.modules import ModuleState
from kmodmon.kernel.taint import FLAGS, Flag, parse_letters
from kmodmon.kernel.text import raw_bytes
from kmodmon.model.describe import describe_actor
from kmodmon.model.files import Provenance
from kmodmon.model.inventory import Loaded, Module, Signature
from kmodmon.model.state import State
from kmodmon.model.trust import Card, card, kernel_verifies, record_of, trust
from kmodmon.web.page.html import NOTHING, Markup, binary_size, code, counted, element, escaped, joined, moment, pill
from kmodmon.web.page.look import Look

MOST_ROWS = 500
MOST_HOLDERS = 8
_BAD = (Signature.UNSIGNED, Signature.INVALID)
_SIGNATURE_TONES = {
    Signature.VALID: "good",
    Signature.SIGNED: "plain",
    Signature.UNSIGNED: "bad",
    Signature.INVALID: "bad",
    Signature.UNKNOWN: "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One module with all that its cells show."""

    module: Module
    card: Card
    loaded: Loaded | None
    flags: tuple[Flag, ...] = FLAGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its cell, and the key it is sorted by where the text of the cell would sort wrongly."""

    title: str
    cell: Callable[[Row], Markup]
    key: Callable[[Row], int] | None = None
    numeric: bool = False


def _name(row: Row) -> Markup:
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


def _holders(row: Row) -> Markup:
    holders = row.module.holders
    shown = joined((code(name) for name in holders[:MOST_HOLDERS]), ", ")
    rest = len(holders) - MOST_HOLDERS
    return joined((shown, f" and {rest:,} more")) if rest > 0 else shown


def _taint(row: Row) -> Markup:
    if not row.module.taint:
        return NOTHING
    read = parse_letters(row.module.taint, row.flags)
    words = [flag.label.replace("_", " ") for flag in read.flags]
    words += [f"unknown letter {letter}" for letter in read.unknown]
    return element("abbr", row.module.taint, title=", ".join(words), class_="k")


def _signature(row: Row) -> Markup:
    verdict = row.card.signature
    shown = pill(verdict.value, _SIGNATURE_TONES[verdict])
    signer = row.card.signer
    return joined((shown, element("small", signer, title=signer)), " ") if signer else shown


def _origin(row: Row) -> Markup:
    origin = row.card.origin
    if origin is Provenance.UNKNOWN:
        return NOTHING
    parts = [pill(origin.value, "bad") if origin is Provenance.MEMORY else escaped(origin.value)]
    if row.card.differs:
        parts.append(pill("differs from its file", "warn"))
    if row.card.file is not None and row.card.file.package is not None:
        parts.append(element("small", row.card.file.package.name))
    return joined(parts, " ")


def _loaded(row: Row) -> Markup:
    if row.loaded is None:
        return NOTHING
    if row.loaded.at is not None:
        return moment(row.loaded.at.realtime_usec)
    return escaped("while kmodmon was down" if row.loaded.while_down else "before kmodmon")


def _actor(row: Row) -> Markup:
    return NOTHING if row.loaded is None or row.loaded.actor is None else code(describe_actor(row.loaded.actor))


def _references(row: Row) -> Markup:
    return NOTHING if row.module.refcnt is None else escaped(str(row.module.refcnt))


COLUMNS: tuple[Column, ...] = (
    Column(title="Module", cell=_name),
    Column(
        title="Size",
        cell=lambda row: escaped(binary_size(row.module.size)),
        key=lambda row: row.module.size,
        numeric=True,
    ),
    Column(title="Refs", cell=_references, numeric=True),
    Column(title="Used by", cell=_holders),
    Column(title="Taint", cell=_taint),
    Column(title="Signature", cell=_signature),
    Column(title="Origin", cell=_origin),
    Column(
        title="Loaded",
        cell=_loaded,
        key=lambda row: 0 if row.loaded is None or row.loaded.at is None else row.loaded.at.realtime_usec,
    ),
    Column(title="By", cell=_actor),
)


def is_suspicious(state: State, module: Module) -> bool:
    """Whether a module taints the kernel or its signature does not hold."""
    return bool(module.taint) or trust(state, module) in _BAD


def shown_modules(state: State) -> tuple[Module, ...]:
    """At most MOST_ROWS modules as the kernel lists them, newest first; of more, the suspicious ones before others."""
    modules = tuple(state.inventory.modules.values())
    if len(modules) <= MOST_ROWS:
        return modules
    ranked = sorted(modules, key=lambda module: not is_suspicious(state, module))
    kept = {module.name for module in ranked[:MOST_ROWS]}
    return tuple(module for module in modules if module.name in kept)


def head() -> Markup:
    """The heading row; the script makes buttons of the headings."""
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


def count(look: Look) -> Markup:
    """How many there are, and how many of them the table shows."""
    loaded = len(look.state.inventory.modules)
    if loaded <= MOST_ROWS:
        return escaped(f"{counted(loaded, 'module')}, newest first.")
    return joined(
        (
            f"{MOST_ROWS:,} of {loaded:,} modules are shown here, those that taint or are not signed before others. ",
            element("a", "All of them", href="api/v1/modules"),
            " (JSON), or ",
            element("code", "kmodmon modules"),
            ".",
        )
    )


class ModuleRows:
    """Makes the body of the table, and keeps the rows of the modules that stayed the same."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[object, ...], Markup]] = {}

    def render(self, look: Look) -> Markup:
        """The body of the table."""
        state = look.state
        modules = shown_modules(state)
        if not modules:
            self._kept = {}
            empty = "No module is loaded." if state.inventory.support is not None else "The list could not be read."
            return element("tr", element("td", empty, colspan=len(COLUMNS)))
        self._kept = {module.name: self._row(state, module) for module in modules}
        return joined((row for _, row in self._kept.values()), Markup("\n"))

    def _row(self, state: State, module: Module) -> tuple[tuple[object, ...], Markup]:
        loaded = state.inventory.loaded.get(module.name)
        made_of = (module, loaded, record_of(state, module), kernel_verifies(state), state.taint.flags)
        kept = self._kept.get(module.name)
        if kept is not None and all(map(operator.is_, kept[0], made_of)):
            return kept
        row = Row(module=module, card=card(state, module), loaded=loaded, flags=state.taint.flags)
        return made_of, row_markup(row)


def row_markup(row: Row) -> Markup:
    """One row of the table."""
    first, *others = COLUMNS
    cells = [element("th", first.cell(row), scope="row")]
    for column in others:
        key = None if column.key is None else column.key(row)
        cells.append(element("td", column.cell(row), data_key=key, class_="n" if column.numeric else None))
    suspicious = bool(row.module.taint) or row.card.signature in _BAD
    return element("tr", *cells, data_name=row.module.name, class_="sus" if suspicious else None)
