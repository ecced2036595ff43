"""The Mini-Gemini model: configuration, processors and network.

Classes are imported on first use, because they need torch and Transformers, which take seconds to import. Other modules
of this package, such as `chat_templates`, need neither.
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
