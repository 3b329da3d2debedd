"""Importing less of a large package than its own `__init__` does: the daemon is to be small.

`pyroute2/__init__.py` imports all of pyroute2: 163 modules and 8 MiB, of which uevents need 16 modules and half a MiB.
prometheus-client's brings a web server, an HTTP client and the e-mail parser that both need: memory that nothing here
uses. A package object made from its specification, but not executed, is all that importing a submodule needs; a
module whose classes are only subclassed is replaced by a placeholder meanwhile. A version of a package that this does
not suit is imported in the ordinary way.
"""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import cast

log = logging.getLogger(__name__)


def import_submodule(package: str, name: str, *, unused: Iterable[str] = ()) -> ModuleType:
    """Import `package.name`; raises ImportError when there is none. A package already imported is used as it is.

    `unused`: modules that it imports and that are of no use here.
    """
    if package in sys.modules:
        return importlib.import_module(f"{package}.{name}")
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    before = set(sys.modules)
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        with placeholders(unused):
            return importlib.import_module(f"{package}.{name}")
    except (ImportError, AttributeError, TypeError) as error:
        log.debug("%s.%s wants all of %s: %s", package, name, package, error)
    for module in set(sys.modules) - before:
        if module == package or module.startswith(f"{package}."):
            del sys.modules[module]
    return importlib.import_module(f"{package}.{name}")


class _Placeholder(ModuleType):
    """A module of which every name is an empty class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def absent(names: Iterable[str]) -> AbstractContextManager[None]:
    """Let importing modules that are not imported yet raise ImportError meanwhile; many packages do without them."""
    return _instead_of(names, lambda name: None)  # None is the import system's way to say that there is no such module


def placeholders(names: Iterable[str]) -> AbstractContextManager[None]:
    """Let modules that are not imported yet be placeholders meanwhile."""
    return _instead_of(names, _Placeholder)


@contextmanager
def _instead_of(names: Iterable[str], make: Callable[[str], ModuleType | None]) -> Iterator[None]:
    missing = [name for name in names if name not in sys.modules]
    modules = cast(dict[str, ModuleType | None], sys.modules)
    modules.update({name: make(name) for name in missing})
    try:
        yield
    finally:
        for name in missing:
            del modules[name]
