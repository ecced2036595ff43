"""Exports of packages, imported on first use because torch and Transformers take seconds to import."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package, which also declares the names for type checkers.

    Args:
        package: `__name__` of the package.
        modules: names by the module that defines them, relative to the package. A submodule defines its own name too.
    """
    origins = {name: module for module, names in modules.items() for name in names}

    def get_export(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(origins[name], package)
        return module if origins[name] == f".{name}" else getattr(module, name)

    def list_names() -> list[str]:
        return sorted({*vars(import_module(package)), *origins})

    return get_export, list_names
