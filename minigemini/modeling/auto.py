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
from transformers.models.auto import image_processing_auto, modeling_auto
from transformers.utils import is_torchvision_available

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
if is_torchvision_available():
    from .image_processing_torchvision import MiniGeminiImageProcessorTorchvision

    _backends: dict[str, type] = {"torchvision": MiniGeminiImageProcessorTorchvision}
    AutoImageProcessor.register(MiniGeminiConfig, image_processor_classes=_backends, exist_ok=True)
    # Transformers would take torchvision by default wherever it is installed, and pixels would differ between machines.
    image_processing_auto.DEFAULT_TO_PIL_BACKEND_IMAGE_PROCESSORS.append(MiniGeminiImageProcessor.__name__)
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
