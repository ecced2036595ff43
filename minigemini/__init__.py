"""Mini-Gemini vision-language models on Transformers 5. Importing this package makes the Auto classes know them."""

from .model import (
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
