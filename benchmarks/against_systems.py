"""The models that `against.py` compares. All have random weights: speed and memory do not depend on their values.

A system is a model class of Transformers, or ours, with the encoders of its published checkpoints, in front of one of
three language models. Shapes are those of SmolLM2-135M, Llama-3.2-1B and Vicuna-7B.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from transformers import (
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaImageProcessorPil,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    PreTrainedModel,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessorPil,
    initialization,
)

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiImageProcessor
from minigemini.modeling.configuration import CLIP_VIT_L_14_336, CONVNEXT_L

ROOT = Path(__file__).parents[1]
TEXT_TOKENS = 32
"""Tokens of the question and the chat template around the image."""
IMAGE_TOKEN, OTHER_TOKEN = 1, 5

IMAGES = {  # width and height in pixels, and the file that is cropped and resized to them
    "photo 4:3": (1024, 768, "photos/coffee.jpg"),
    "A4 page": (1240, 1754, "photos/receipt.png"),
    "3:1 panorama": (3000, 1000, "photos/neuschwanstein.jpg"),
    "phone screenshot": (1080, 2340, "photos/shop_sign.png"),
    "square": (1024, 1024, "photos/cat.jpg"),
}

SMOLLM2_135M: dict[str, Any] = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}
LLAMA_3_2_1B: dict[str, Any] = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 128256,
    "tie_word_embeddings": True,
}
VICUNA_7B: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}
LANGUAGE_MODELS = {"135M": SMOLLM2_135M, "1B": LLAMA_3_2_1B, "7B": VICUNA_7B}

CLIP = {"model_type": "clip_vision_model", **CLIP_VIT_L_14_336}
SIGLIP_B_16_512 = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 512,
    "patch_size": 16,
}
CONVNEXT_B = {**CONVNEXT_L, "hidden_sizes": [128, 256, 512, 1024]}
CONVNEXT_T = {**CONVNEXT_L, "hidden_sizes": [96, 192, 384, 768], "depths": [3, 3, 9, 3]}
EFFICIENTNET_LITE0 = {"model_type": "efficientnet_lite"}


def language_config(name: str, layers: int | None = None) -> LlamaConfig:
    """Shape of a language model, whole or with fewer layers."""
    fields = LANGUAGE_MODELS[name] | ({} if layers is None else {"num_hidden_layers": layers})
    return LlamaConfig(**fields, max_position_embeddings=8192)


@dataclass(frozen=True)
class System:
    """A model class, its encoders, and its image processor.

    Attributes:
        build: From the config of a language model to the whole model.
        image_processor: The one that the model's checkpoints come with.
        marks_tiles: Whether a token of text comes before each tile.
        packed: Whether its weights are packed, as commands of ours load a model.
    """

    build: Callable[[LlamaConfig], PreTrainedModel]
    image_processor: Any
    marks_tiles: bool = False
    packed: bool = False

    def pixels(self, image: Image.Image) -> dict[str, Tensor]:
        """The inputs that show an image."""
        return dict(self.image_processor(image, return_tensors="pt"))

    def encode(self, model: Any, pixels: dict[str, Any]) -> tuple[Any, Tensor]:
        """From pixels to all that the encoders return, and of it the visual tokens (tokens, hidden)."""
        if isinstance(model, SmolVLMForConditionalGeneration):  # its method selects images by their values
            states = model.model.vision_model(pixels["pixel_values"].flatten(0, 1)).last_hidden_state
            features = model.model.connector(states)
            return features, features.flatten(0, 1)
        features = model.model.get_image_features(**pixels)
        tokens = features.pooler_output
        return features, tokens.flatten(0, -2) if isinstance(tokens, Tensor) else torch.cat(list(tokens))

    def text_tokens(self, pixels: dict[str, Any]) -> int:
        return TEXT_TOKENS + (pixels["pixel_values"].shape[1] if self.marks_tiles else 0)

    def inputs(self, image: Image.Image, visual_tokens: int) -> dict[str, Tensor]:
        """What `generate` takes: an image, and a prompt of fixed length around its visual tokens."""
        pixels = self.pixels(image)
        ids = torch.full((1, visual_tokens + self.text_tokens(pixels)), OTHER_TOKEN)
        ids[0, TEXT_TOKENS // 2 : TEXT_TOKENS // 2 + visual_tokens] = IMAGE_TOKEN
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **pixels}


def llava(text: LlamaConfig) -> LlavaForConditionalGeneration:
    config = LlavaConfig(vision_config=CLIP, text_config=text, image_token_index=IMAGE_TOKEN)
    return LlavaForConditionalGeneration(config)


def llava_next(text: LlamaConfig) -> LlavaNextForConditionalGeneration:
    config = LlavaNextConfig(vision_config=CLIP, text_config=text, image_token_index=IMAGE_TOKEN)
    return LlavaNextForConditionalGeneration(config)


def nanovlm(text: LlamaConfig) -> SmolVLMForConditionalGeneration:
    """nanoVLM's architecture: SigLIP 2, 4 x 4 pixel shuffle to 64 tokens, one linear layer (`models/config.py`)."""
    vision = SIGLIP_B_16_512
    config = SmolVLMConfig(vision_config=vision, text_config=text, scale_factor=4, image_token_id=IMAGE_TOKEN)
    return SmolVLMForConditionalGeneration(config)


def mini_gemini(**settings: Any) -> System:
    """Our model with some settings of its config."""

    def build(text: LlamaConfig) -> MiniGeminiForConditionalGeneration:
        config = MiniGeminiConfig(text_config=text, image_token_id=IMAGE_TOKEN, **copy.deepcopy(settings))
        return MiniGeminiForConditionalGeneration(config)

    config = MiniGeminiConfig(**copy.deepcopy(settings))
    sizes = {"size": config.low_res_size, "high_res_size": config.high_res_size, "max_tiles": config.max_tiles}
    return System(build, MiniGeminiImageProcessor(**sizes))


def ours(high_res: dict[str, Any] = CONVNEXT_L, **tiling: Any) -> System:
    """Our model with CLIP ViT-L and a high-resolution encoder."""
    return mini_gemini(vision_config=CLIP, high_res_vision_config=high_res, use_global_tile=bool(tiling), **tiling)


def small() -> System:
    """The encoders of our model `small`: EfficientNet-Lite0 twice."""
    fields = json.loads((ROOT / "minigemini_models/small/checkpoint/config.json").read_text())
    return mini_gemini(**{name: fields[name] for name in ("vision_config", "high_res_vision_config", "high_res_size")})


HD = {"grid_size": 2, "high_res_size": 1536}
NANOVLM_PX = {"max_image_size": {"longest_edge": 512}}
SYSTEMS = {
    "LLaVA-NeXT": System(llava_next, LlavaNextImageProcessorPil(size={"shortest_edge": 336}, crop_size=336)),
    "LLaVA": System(llava, LlavaImageProcessorPil(size={"shortest_edge": 336}, crop_size=336)),
    "nanoVLM-like": System(
        nanovlm, SmolVLMImageProcessorPil(size={"longest_edge": 512}, do_image_splitting=False, **NANOVLM_PX)
    ),
    "nanoVLM-like, tiles": System(
        nanovlm, SmolVLMImageProcessorPil(size={"longest_edge": 2048}, **NANOVLM_PX), marks_tiles=True
    ),
    "ours, normal": ours(),
    "ours, HD": ours(**HD),
    "ours, native": ours(max_tiles=6),
    "normal, ConvNeXt-B": ours(CONVNEXT_B),
    "normal, ConvNeXt-T": ours(CONVNEXT_T),
    "normal, EfficientNet-Lite0": ours(EFFICIENTNET_LITE0),
    "HD, EfficientNet-Lite0": ours(EFFICIENTNET_LITE0, **HD),
    "native, EfficientNet-Lite0": ours(EFFICIENTNET_LITE0, max_tiles=6),
    "encoders of small": small(),
}
PACKED = ", packed"
SYSTEMS |= {name + PACKED: replace(SYSTEMS[name], packed=True) for name in ("ours, normal", "ours, HD", "ours, native")}


def open_image(name: str) -> Image.Image:
    """A picture of the examples, cropped and resized to one of the shapes."""
    width, height, file = IMAGES[name]
    with Image.open(ROOT / "examples" / file) as image:
        return ImageOps.fit(image.convert("RGB"), (width, height))


def build_tied(make: Callable[[LlamaConfig], PreTrainedModel], text: LlamaConfig) -> PreTrainedModel:
    """Build a model in evaluation mode."""
    model = make(text).eval()
    tie(model, text)
    return model


def tie(model: PreTrainedModel, text: LlamaConfig) -> None:
    """Give the head the weights of the embeddings, where the language model does; not every class reads that."""
    if text.tie_word_embeddings:
        model.get_output_embeddings().weight = model.get_input_embeddings().weight


class Pool:
    """Builds models whose equal parts share memory: encoders and language models of the same shape."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype, self.weights = dtype, dict[Any, nn.Parameter]()

    def build(self, make: Callable[[LlamaConfig], PreTrainedModel], text: LlamaConfig) -> PreTrainedModel:
        """Build a model with random weights, in evaluation mode."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with initialization.no_init_weights():
                model = build_tied(make, text)
        finally:
            torch.set_default_dtype(before)
        for kind, name, owner, attribute in _places(model):
            weight = getattr(owner, attribute)
            place = (kind, name, tuple(weight.shape))
            if place not in self.weights:
                self.weights[place] = nn.Parameter(_random(weight.shape, self.dtype), requires_grad=False)
            setattr(owner, attribute, self.weights[place])
        tie(model, text)
        return model


def _places(model: PreTrainedModel) -> list[tuple[str, str, nn.Module, str]]:
    """Where the parameters of a model are: kind of part, name within it, module, and attribute."""
    parts = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    towers = [part for part in parts if not any(other in parts for other in list(part.modules())[1:])]
    inside = {id(module) for tower in towers for module in tower.modules()}
    rest = [(type(model).__name__, name, module) for name, module in model.named_modules() if id(module) not in inside]
    named = rest + [(tower.config.model_type, *item) for tower in towers for item in tower.named_modules()]
    return [
        (kind, f"{name}.{attribute}", module, attribute)
        for kind, name, module in named
        for attribute, weight in module._parameters.items()
        if weight is not None
    ]


def _random(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Small random numbers, repeated, because to draw billions takes minutes; norms and biases are ones."""
    if len(shape) < 2:
        return torch.ones(shape, dtype=dtype)
    block = torch.empty(2**16, dtype=dtype).normal_(std=0.02)
    return block.repeat(-(-shape.numel() // len(block)))[: shape.numel()].view(shape)
