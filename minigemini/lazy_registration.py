"""Registers the model with Transformers' Auto classes once Transformers is imported, and not before.

Registration needs the model's classes, and these need torch and Transformers, which take seconds to import. Neither
`import minigemini` nor `minigemini --help` should wait for them, and still `AutoModel.from_pretrained` must know the
model in either order of imports. Transformers calls no entry points, so a finder on `sys.meta_path` waits for its
import. It relies on nothing but the name `transformers`: hooking the modules with the Auto mappings, or adding lazy
entries to them, would rely on internals that change between releases.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

TRANSFORMERS = "transformers"
MODEL = f"{__package__}.modeling"


def register_with_transformers() -> None:
    """Register the model: now if Transformers is imported already, else when it is."""
    if sys.modules.get(TRANSFORMERS):
        import_module(f"{MODEL}.auto")
    else:
        sys.meta_path.insert(0, _RegisterAfterImport())


class _Depth(threading.local):
    """How many watched imports are in progress in this thread, one inside the other."""

    value = 0


class _RegisterAfterImport(MetaPathFinder):
    """Lets the other finders find Transformers and the model's modules, and registers the model after their import.

    The model's modules are watched too because one of them may be what imports Transformers: half imported, it cannot
    be registered, so registration waits for the outermost import to end.
    """

    def __init__(self) -> None:
        self._depth = _Depth()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != TRANSFORMERS and not fullname.startswith(f"{MODEL}."):
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            execute = partial(self._execute, spec.loader.exec_module)
            spec.loader.exec_module = execute  # type: ignore[method-assign]  # the loader of this spec alone
        return spec

    def _execute(self, execute: Callable[[ModuleType], None], module: ModuleType) -> None:
        self._depth.value += 1
        try:
            execute(module)
        finally:
            self._depth.value -= 1
        if self._depth.value == 0 and sys.modules.get(TRANSFORMERS):
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            import_module(f"{MODEL}.auto")
