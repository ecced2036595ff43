"""Answers about pictures, and pictures in return: an engine and a painter that are loaded once, and conversations.

What is exported is imported when it is first used: errors, presets and figures need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conversation import Conversation, Reply
    from .drawing import Drawing, DrawnPicture
    from .engine import Engine
    from .errors import CheckpointError, RequestError
    from .image_generation import Painter
    from .quantising import quantization_config
    from .sampling import Sampling
    from .streaming import Answer, AnswerStream

__all__ = [
    "Answer",
    "AnswerStream",
    "CheckpointError",
    "Conversation",
    "Drawing",
    "DrawnPicture",
    "Engine",
    "Painter",
    "Reply",
    "RequestError",
    "Sampling",
    "quantization_config",
]

_MODULES = {
    "Answer": "streaming",
    "AnswerStream": "streaming",
    "CheckpointError": "errors",
    "Conversation": "conversation",
    "Drawing": "drawing",
    "DrawnPicture": "drawing",
    "Engine": "engine",
    "Painter": "image_generation",
    "Reply": "conversation",
    "RequestError": "errors",
    "Sampling": "sampling",
    "quantization_config": "quantising",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
