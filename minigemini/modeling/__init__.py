"""Everything that defines what the model computes.

The classes are imported when they are first used: they need torch and Transformers, which take seconds to import, and
much beside them (pictures, chat templates, atomic writing) needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .auto import (
        MiniGeminiConfig,
        MiniGeminiForConditionalGeneration,
        MiniGeminiImageFeatures,
        MiniGeminiImageProcessor,
        MiniGeminiModel,
        MiniGeminiPreTrainedModel,
        MiniGeminiProcessor,
    )

__all__ = [
    "MiniGeminiConfig",
    "MiniGeminiForConditionalGeneration",
    "MiniGeminiImageFeatures",
    "MiniGeminiImageProcessor",
    "MiniGeminiModel",
    "MiniGeminiPreTrainedModel",
    "MiniGeminiProcessor",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.auto"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
