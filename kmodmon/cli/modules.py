"""`kmodmon modules`: the loaded modules with taint, signature, origin and who loaded them; or the hidden ones."""

import argparse
import sys
from collections.abc import Mapping

from kmodmon.cli.gather import gather
from kmodmon.cli.output import Cell, Column, Screen, Tint, Tinted, human_bytes, joined, local_time
from kmodmon.types.error import KmodmonError
from kmodmon.types.source_name import SourceName
from kmodmon.types.text import printable
from kmodmon.types.units import JsonObject, JsonValue
from kmodmon.view.hidden import hidden_view
from kmodmon.view.modules import modules_view

_COLUMNS = (
    Column(title="MODULE", least=12),
    Column(title="SIZE", right=True),
    Column(title="REFS", right=True),
    Column(title="TAINT"),
    Column(title="SIGNATURE"),
    Column(title="SIGNER", least=10),
    Column(title="ORIGIN"),
    Column(title="LOADED", least=10),
    Column(title="BY", least=6),
    Column(title="USED BY", least=8),
)
_HIDDEN = (
    Column(title="MODULE", least=12),
    Column(title="MISSING FROM", least=12),
    Column(title="CONFIDENCE"),
    Column(title="SINCE"),
    Column(title="BY", least=6),
    Column(title="EVIDENCE", least=30),
)
_ODD_ORIGINS = ("elsewhere", "memory", "deleted")
_SIGNATURE_TINTS = {"valid": Tint.GOOD, "unsigned": Tint.WARN, "invalid": Tint.BAD}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own arguments."""
    parser.add_argument("name", nargs="*", metavar="NAME", help="Only these modules.")
    parser.add_argument("--tainted", action="store_true", help="Only modules that carry a taint letter.")
    parser.add_argument("--unsigned", action="store_true", help="Only modules without a valid signature.")
    parser.add_argument("--out-of-tree", action="store_true", help="Only modules not built with the kernel (O).")
    parser.add_argument("--hidden", action="store_true", help="Modules that are loaded and that some view denies.")


def run(args: argparse.Namespace) -> int:
    """Print the list; 0, or 3 when the kernel's list cannot be read."""
    if args.hidden:
        return _hidden(args)
    host = gather(args, ("kernel", "modules", "posture", "files"))
    if host.state.inventory.support is None:
        raise KmodmonError(f"the list of modules cannot be read: {host.why_unreadable(SourceName.MODULES)}")
    for name in args.name:
        if name not in host.state.inventory.modules:
            print(f"kmodmon modules: no module {printable(name)} is loaded", file=sys.stderr)
    modules = [module for module in modules_view(host.state) if _is_selected(module, args)]
    screen = Screen.of(args)
    if args.json:
        screen.json(modules)
    elif host.state.inventory.support is False:
        screen.line("This kernel was built without loadable modules.")
    else:
        screen.table(_COLUMNS, [_row(module) for module in modules])
    return 0


def _hidden(args: argparse.Namespace) -> int:
    # The filters for listed modules do not apply: most hidden modules are not in /proc/modules, where their facts are.
    state = gather(args, ("modules", "crossview"), thorough=True).state
    source = state.sources[SourceName.CROSSVIEW]
    if not source.up:
        raise KmodmonError(f"the views of the kernel cannot be compared: {source.why}")
    modules = [module for module in hidden_view(state) if not args.name or module["name"] in args.name]
    screen = Screen.of(args)
    if args.json:
        screen.json(modules)
    elif modules:
        screen.table(_HIDDEN, [_hidden_row(module) for module in modules])
    else:
        screen.line("No hidden module is known: what this host shows of its modules agrees.")
    for view, why in () if args.json else state.hidden.views.items():
        if why:
            screen.line(Tinted(f"not compared: {view}: {why}", Tint.FAINT))
    return 0


def _hidden_row(module: JsonObject) -> tuple[Cell, ...]:
    since = module["since"]
    assert isinstance(since, int)
    return (
        Tinted(str(module["name"]), Tint.BAD),
        joined(module["missing_from"], ","),
        str(module["confidence"]),
        local_time(since),
        _who(module["actor"]),
        joined(module["evidence"], "; "),
    )


def _is_selected(module: JsonObject, args: argparse.Namespace) -> bool:
    taint = str(module["taint"])
    return not (
        (args.name and module["name"] not in args.name)
        or (args.tainted and not taint)
        or (args.unsigned and module["signature"] not in ("unsigned", "invalid"))
        or (args.out_of_tree and "O" not in taint)
    )


def _row(module: JsonObject) -> tuple[Cell, ...]:
    size, refcnt = module["size_bytes"], module["refcnt"]
    taint, signature = str(module["taint"]), str(module["signature"])
    name = str(module["name"])
    state = str(module["state"])
    return (
        name if state == "live" else Tinted(f"{name} ({state})", Tint.WARN),
        human_bytes(size) if isinstance(size, int) else "-",
        "-" if refcnt is None else str(refcnt),
        Tinted(taint, Tint.WARN) if taint else "-",
        Tinted(signature, _SIGNATURE_TINTS.get(signature, Tint.STRONG)),
        str(module["signer"] or "-"),
        _origin(module),
        _when(module),
        _who(module["actor"]),
        joined(module["holders"], ","),
    )


def _origin(module: JsonObject) -> Cell:
    origin = str(module["origin"])
    if module["differs_from_disk"]:
        return Tinted(f"{origin}, another on disk", Tint.WARN)
    return Tinted(origin, Tint.WARN) if origin in _ODD_ORIGINS else origin


def _when(module: JsonObject) -> str:
    at = module["loaded_at"]
    if isinstance(at, int):
        return local_time(at)
    return {"before_start": "before start", "while_down": "while down"}.get(str(module["loaded"]), "-")


def _who(actor: JsonValue) -> str:
    return str(actor["comm"] or actor["pid"]) if isinstance(actor, Mapping) else "-"
