"""Inference: an engine that answers questions about images, conversations, and image generation.

Exports are imported on first use, so that errors, presets and figures are available without importing torch.
"""

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "..imagegen.generated_image": ["GeneratedImage", "GenerationSettings"],
        "..imagegen.generator": ["ImageGenerator"],
        "..io.errors": ["CheckpointError", "RequestError"],
        "..io.quantization": ["quantization_config"],
        ".conversation": ["Conversation", "Reply"],
        ".engine": ["Engine"],
        ".sampling": ["Sampling"],
        ".streaming": ["Answer", "AnswerStream"],
    },
)
