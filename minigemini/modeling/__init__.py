"""The Mini-Gemini model: configuration, processors and network.

Classes are imported on first use, because they need torch and Transformers, which take seconds to import. Other modules
of this package, such as `chat_templates`, need neither.
"""

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .configuration import MiniGeminiConfig
    from .generation import MiniGeminiForConditionalGeneration
    from .image_processing import MiniGeminiImageProcessor
    from .model import MiniGeminiModel, MiniGeminiPreTrainedModel
    from .outputs import MiniGeminiImageFeatures
    from .processing import MiniGeminiProcessor

__all__ = [
    "MiniGeminiConfig",
    "MiniGeminiForConditionalGeneration",
    "MiniGeminiImageFeatures",
    "MiniGeminiImageProcessor",
    "MiniGeminiModel",
    "MiniGeminiPreTrainedModel",
    "MiniGeminiProcessor",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        ".configuration": ["MiniGeminiConfig"],
        ".generation": ["MiniGeminiForConditionalGeneration"],
        ".image_processing": ["MiniGeminiImageProcessor"],
        ".model": ["MiniGeminiModel", "MiniGeminiPreTrainedModel"],
        ".outputs": ["MiniGeminiImageFeatures"],
        ".processing": ["MiniGeminiProcessor"],
    },
)
