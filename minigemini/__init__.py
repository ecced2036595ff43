"""Mini-Gemini vision-language models for Transformers 5. Importing this package registers them with the Auto classes.

The import is cheap: classes are imported on first use, and registration happens once Transformers is imported, before
or after this package (see `lazy_registration`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .lazy_registration import register_with_transformers

if TYPE_CHECKING:
    from . import modeling
    from .modeling import (
        MiniGeminiConfig,
        MiniGeminiForConditionalGeneration,
        MiniGeminiImageFeatures,
        MiniGeminiImageProcessor,
        MiniGeminiModel,
        MiniGeminiPreTrainedModel,
        MiniGeminiProcessor,
    )
    from .plugins import model_folder

__all__ = [
    "MiniGeminiConfig",
    "MiniGeminiForConditionalGeneration",
    "MiniGeminiImageFeatures",
    "MiniGeminiImageProcessor",
    "MiniGeminiModel",
    "MiniGeminiPreTrainedModel",
    "MiniGeminiProcessor",
    "model_folder",
    "modeling",
]

register_with_transformers()


def __getattr__(name: str) -> Any:
    if name == "model_folder":
        return import_module(f"{__name__}.plugins").model_folder
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.modeling")
    return module if name == "modeling" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
