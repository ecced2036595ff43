"""Mini-Gemini vision-language models for Transformers 5. Importing this package registers them with the Auto classes.

The import is cheap: classes are imported on first use, and registration happens once Transformers is imported, before
or after this package (see `lazy_registration`).
"""

from typing import TYPE_CHECKING

from .lazy_exports import lazy_exports
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

__getattr__, __dir__ = lazy_exports(
    __name__, {".plugins": ["model_folder"], ".modeling": [name for name in __all__ if name != "model_folder"]}
)
