"""Registers the model with Transformers' Auto classes when imported; see `minigemini.lazy_registration`."""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageTextToText, AutoProcessor

from .configuration import MiniGeminiConfig
from .generation import MiniGeminiForConditionalGeneration
from .image_processing import MiniGeminiImageProcessor
from .model import MiniGeminiModel
from .processing import MiniGeminiProcessor

AutoConfig.register(MiniGeminiConfig.model_type, MiniGeminiConfig)
AutoImageProcessor.register(MiniGeminiConfig, image_processor_classes={"pil": MiniGeminiImageProcessor})
AutoProcessor.register(MiniGeminiConfig, MiniGeminiProcessor)
AutoModel.register(MiniGeminiConfig, MiniGeminiModel)
AutoModelForImageTextToText.register(MiniGeminiConfig, MiniGeminiForConditionalGeneration)
