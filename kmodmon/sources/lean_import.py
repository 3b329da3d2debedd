"""Importing one module of a large package without the package's own `__init__`.

`pyroute2/__init__.py` imports all of pyroute2: 163 modules and 8 MiB, of which uevents need 16 modules and half a MiB.
A package object made from its specification, but not executed, is all that importing a submodule needs. Where a
version of the package does not bear that, it is imported in the ordinary way.
"""

import importlib
import importlib.util
import logging
import sys
from types import ModuleType

log = logging.getLogger(__name__)


def import_submodule(package: str, name: str) -> ModuleType:
    """Import `package.name`; raises ImportError when there is none. A package already imported is used as it is."""
    if package in sys.modules:
        return importlib.import_module(f"{package}.{name}")
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    before = set(sys.modules)
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(f"{package}.{name}")
    except (ImportError, AttributeError) as error:
        log.debug("%s.%s wants all of %s: %s", package, name, package, error)
    for module in set(sys.modules) - before:
        if module == package or module.startswith(f"{package}."):
            del sys.modules[module]
    return importlib.import_module(f"{package}.{name}")
