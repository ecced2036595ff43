"""Registers the model with Transformers' Auto classes as soon as Transformers is imported.

Registration needs the model's classes, which need torch and Transformers, which take seconds to import. `import
minigemini` and `minigemini --help` must not wait for that, yet `AutoModel.from_pretrained` must find the model in
either order of imports. Transformers has no entry points for models, so a finder on `sys.meta_path` detects its import.
The finder depends only on the name `transformers`. Hooking the modules of the Auto mappings, or adding lazy entries to
them, would depend on internals that change between releases.
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
    """Register the model now if Transformers is already imported, and otherwise after its import."""
    if sys.modules.get(TRANSFORMERS):
        import_module(f"{MODEL}.auto")
    else:
        sys.meta_path.insert(0, _RegisterAfterImport())


class _Depth(threading.local):
    """Number of nested imports in progress in this thread that the finder tracks."""

    value = 0


class _RegisterAfterImport(MetaPathFinder):
    """Delegates to the other finders, and registers the model after Transformers or a model module is imported.

    Model modules are tracked because one of them may be what imports Transformers. It cannot be registered while it is
    partially imported, so registration waits until the outermost import ends.
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
            spec.loader.exec_module = execute  # type: ignore[method-assign]  # a loader belongs to one spec
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
