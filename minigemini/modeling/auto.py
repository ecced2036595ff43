"""Registers the model with Transformers' Auto classes when imported; see `minigemini.lazy_registration`."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText, AutoProcessor

from .configuration import MiniGeminiConfig
from .efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel
from .generation import MiniGeminiForConditionalGeneration
from .image_processing import MiniGeminiImageProcessor
from .model import MiniGeminiModel, MiniGeminiPreTrainedModel
from .outputs import MiniGeminiImageFeatures
from .processing import MiniGeminiProcessor

AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel)
AutoConfig.register(MiniGeminiConfig.model_type, MiniGeminiConfig)
AutoImageProcessor.register(MiniGeminiConfig, image_processor_classes={"pil": MiniGeminiImageProcessor})
AutoProcessor.register(MiniGeminiConfig, MiniGeminiProcessor)
AutoModel.register(MiniGeminiConfig, MiniGeminiModel)
AutoModelForImageTextToText.register(MiniGeminiConfig, MiniGeminiForConditionalGeneration)

__all__ = [
    "MiniGeminiConfig",
    "MiniGeminiForConditionalGeneration",
    "MiniGeminiImageFeatures",
    "MiniGeminiImageProcessor",
    "MiniGeminiModel",
    "MiniGeminiPreTrainedModel",
    "MiniGeminiProcessor",
]
