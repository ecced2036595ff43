"""Registers the model with Transformers' Auto classes when imported; see `minigemini.lazy_registration`."""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
)
from transformers.models.auto import modeling_auto

from .configuration import MiniGeminiConfig
from .efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel
from .encoder_mixture import EncoderMixtureConfig, EncoderMixtureModel
from .generation import MiniGeminiForConditionalGeneration
from .image_processing import MiniGeminiImageProcessor
from .model import MiniGeminiModel
from .processing import MiniGeminiProcessor

AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel)
AutoConfig.register(EncoderMixtureConfig.model_type, EncoderMixtureConfig)
AutoModel.register(EncoderMixtureConfig, EncoderMixtureModel)
AutoConfig.register(MiniGeminiConfig.model_type, MiniGeminiConfig)
AutoImageProcessor.register(MiniGeminiConfig, image_processor_classes={"pil": MiniGeminiImageProcessor})
AutoProcessor.register(MiniGeminiConfig, MiniGeminiProcessor)
AutoModel.register(MiniGeminiConfig, MiniGeminiModel)
# TRL and `AutoPeftModelForCausalLM` load models by this class.
AutoModelForCausalLM.register(MiniGeminiConfig, MiniGeminiForConditionalGeneration)
AutoModelForImageTextToText.register(MiniGeminiConfig, MiniGeminiForConditionalGeneration)
AutoModelForMultimodalLM.register(MiniGeminiConfig, MiniGeminiForConditionalGeneration)
# Pipelines look classes up by name, and report an error for those that are not listed.
for _names in (
    modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
):
    _names[MiniGeminiConfig.model_type] = MiniGeminiForConditionalGeneration.__name__
