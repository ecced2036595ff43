"""Inference: an engine that answers questions about images, conversations, and image generation.

Exports are imported on first use, so that errors, presets and figures are available without importing torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..imagegen.generated_image import GeneratedImage, GenerationSettings
    from ..imagegen.generator import ImageGenerator
    from ..io.errors import CheckpointError, RequestError
    from ..io.quantization import quantization_config
    from .conversation import Conversation, Reply
    from .engine import Engine
    from .sampling import Sampling
    from .streaming import Answer, AnswerStream

__all__ = [
    "Answer",
    "AnswerStream",
    "CheckpointError",
    "Conversation",
    "Engine",
    "GeneratedImage",
    "GenerationSettings",
    "ImageGenerator",
    "Reply",
    "RequestError",
    "Sampling",
    "quantization_config",
]

_MODULES = {
    "Answer": ".streaming",
    "AnswerStream": ".streaming",
    "CheckpointError": "..io.errors",
    "Conversation": ".conversation",
    "GenerationSettings": "..imagegen.generated_image",
    "GeneratedImage": "..imagegen.generated_image",
    "Engine": ".engine",
    "ImageGenerator": "..imagegen.generator",
    "Reply": ".conversation",
    "RequestError": "..io.errors",
    "Sampling": ".sampling",
    "quantization_config": "..io.quantization",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
