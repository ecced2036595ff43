"""Imports Transformers' own test mixins from its source distribution, which is not part of the installed package.

`TRANSFORMERS_TESTS` names the distribution's folder `tests`; `make test-contract` downloads it. The distribution lacks
the mixins of generation and of exporters. Folders `tests` of a checkout of Transformers, after a colon, supply them;
without one, empty classes stand in for them.
"""

import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "tests"  # the name by which they import one another
IMAGE = Path(__file__).parents[2] / "examples" / "photos" / "cat.jpg"
_NOT_DISTRIBUTED = {
    "exporters.test_export": ("ExportTesterMixin", "ExportGenerateTesterMixin"),
    "generation.test_utils": ("GenerationTesterMixin",),
}


def folders() -> list[str]:
    """The folders with Transformers' tests."""
    return [folder for folder in os.environ.get("TRANSFORMERS_TESTS", "").split(os.pathsep) if folder]


def origin() -> str:
    """Say which tests were run."""
    from transformers import __version__

    missing = [name.partition(".")[0] for name in _MISSING]
    return f"Transformers {__version__}" + (f", without the tests of {' and '.join(missing)}" if missing else "")


def is_missing(name: str) -> bool:
    """Whether no folder has a module of Transformers' tests."""
    if not folders():
        return True
    if PACKAGE not in sys.modules:
        package = ModuleType(PACKAGE)
        package.__path__ = folders()
        sys.modules[PACKAGE] = package
    try:
        return find_spec(f"{PACKAGE}.{name}") is None
    except ModuleNotFoundError:
        return True


_MISSING = [name for name in _NOT_DISTRIBUTED if is_missing(name)]


def load(name: str) -> Any:
    """Import a module of Transformers' tests by its name within them."""
    _prepare()
    return import_module(f"{PACKAGE}.{name}")


@cache
def _prepare() -> None:
    # The tests download images through this module, which is not distributed. Here, any image will do.
    downloads = {"url_to_local_path": lambda url: str(IMAGE) if url.endswith((".png", ".jpg")) else url}
    for name in ("fetch_hub_objects_for_ci", "utils.fetch_hub_objects_for_ci"):
        _add_module(name, downloads)
    # The tests of pipelines import an example of custom code.
    _add_module("test_module.custom_pipeline", {"PairClassificationPipeline": object})
    for name in _MISSING:
        _add_module(f"{PACKAGE}.{name}", {mixin: type(mixin, (), {}) for mixin in _NOT_DISTRIBUTED[name]})
    _name_model()


def _add_module(name: str, contents: dict[str, Any]) -> None:
    module = ModuleType(name)
    module.__dict__.update(contents)
    parent = name.rpartition(".")[0]
    if parent:
        sys.modules.setdefault(parent, ModuleType(parent))
    sys.modules[name] = module


def _name_model() -> None:
    """Enter our base model where Transformers' tests look up what a class is for, by name."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    MODEL_MAPPING_NAMES["minigemini"] = "MiniGeminiModel"
