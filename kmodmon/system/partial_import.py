"""Importing a submodule without the rest of its package, to save memory in the daemon.

`pyroute2/__init__.py` imports all of pyroute2: 163 modules and 8 MiB, of which uevents need 16 modules and half a MiB.
uvicorn's imports a command line and a process supervisor, prometheus-client's a web server, an HTTP client and the
e-mail parser they use: 5 MiB that nothing here needs. To import a submodule, Python only needs a package object in
sys.modules, which can be made from the package's specification without executing its `__init__`. A module of which
the submodule only uses classes, as bases or in annotations, can be replaced by a placeholder. If a version of a package
does not work this way, it is imported in the ordinary way.
"""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType

log = logging.getLogger(__name__)


def import_submodule(package: str, name: str, *, unused: Iterable[str] = (), offered: Iterable[str] = ()) -> ModuleType:
    """Import `package.name`; raises ImportError when there is none. A package already imported is used as it is.

    `unused`: modules that are replaced by placeholders during the import. `offered`: names of the submodule that other
    submodules import from the package, whose `__init__` would have defined them.
    """
    if package in sys.modules:
        return importlib.import_module(f"{package}.{name}")
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    before = set(sys.modules)
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        with _placeholders(unused):
            submodule = importlib.import_module(f"{package}.{name}")
        for attribute in offered:
            setattr(sys.modules[package], attribute, getattr(submodule, attribute))
        return submodule
    except (ImportError, AttributeError, TypeError) as error:
        log.debug("%s.%s wants all of %s: %s", package, name, package, error)
    for module in set(sys.modules) - before:
        if module == package or module.startswith(f"{package}."):
            del sys.modules[module]
    return importlib.import_module(f"{package}.{name}")


class _Placeholder(ModuleType):
    # A module in which every name is an empty class.

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextmanager
def _placeholders(names: Iterable[str]) -> Iterator[None]:
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update({name: _Placeholder(name) for name in missing})
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]
