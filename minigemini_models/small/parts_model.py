"""Build `small` from its pretrained parts, and save what training adds to them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig

from minigemini.conversion.efficientnet_lite import convert_efficientnet_lite
from minigemini.io.atomic_write import atomic_write
from minigemini.io.hashes import write_sums
from minigemini.modeling import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.modeling.efficientnet_lite import IMAGE_MEAN, IMAGE_STD, EfficientNetLiteConfig
from minigemini.modeling.image_token import add_image_token
from minigemini.modeling.visual_vocabulary import start_from_classifier, start_from_names
from minigemini.training.run_outputs import save_checkpoint

from ..pretraining.pretraining_task import load_part
from ..scenes.colors import COLORS
from ..scenes.concepts import NAMES
from ..scenes.dense_labels import NUM_COLOR_CLASSES, NUM_NAME_CLASSES
from .imagenet_classes import imagenet_classes
from .parts import efficientnet_lite0_weights, smollm2_folder
from .pulled import SMALL
from .small_recipe import SmallTraining

LOW_RES_PX, HIGH_RES_PX = 256, 512
CONTEXT_WEIGHT = 0.5
ANSWER_TOKENS = 128
"""Default maximum number of new tokens."""
WORD_GROUPS: list[dict[str, Any]] = [
    {"name": "classes", "size": 1000, "source": "low_res", "context_weight": CONTEXT_WEIGHT},
    {"name": "things", "size": NUM_NAME_CLASSES, "source": "mined"},
    {"name": "colors", "size": NUM_COLOR_CLASSES, "source": "mined"},
    {"name": "centers", "size": 2, "source": "mined"},
]
"""ImageNet's classes, which only the low-resolution encoder scores, so that mining cannot change what photographs are
called; and what is drawn, its color and where its center is, with word 0 for nothing."""


def small_config(text_config: PreTrainedConfig, image_token_id: int) -> MiniGeminiConfig:
    """Return the configuration over a language model, given the id of the image token."""
    return MiniGeminiConfig(
        vision_config=EfficientNetLiteConfig(image_size=LOW_RES_PX),
        high_res_vision_config=EfficientNetLiteConfig(image_size=HIGH_RES_PX),
        text_config=text_config,
        high_res_size=HIGH_RES_PX,
        high_res_image_mean=list(IMAGE_MEAN),
        high_res_image_std=list(IMAGE_STD),
        projector_type="visual_vocabulary",
        visual_vocabulary=WORD_GROUPS,
        image_token_id=image_token_id,
    )


def empty_model() -> MiniGeminiForConditionalGeneration:
    """Build the model without weights, from the configuration that the package ships: nothing is downloaded."""
    shipped = MiniGeminiConfig.from_pretrained(SMALL.shipped, local_files_only=True)
    with torch.device("meta"):
        return MiniGeminiForConditionalGeneration(small_config(shipped.text_config, shipped.image_token_id))


def build_parts() -> tuple[MiniGeminiForConditionalGeneration, MiniGeminiProcessor]:
    """Build the model from pretrained parts in float32, and its processor; mining is not trained yet."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder(), local_files_only=True)
    text_config = AutoConfig.from_pretrained(smollm2_folder(), local_files_only=True)
    config = small_config(text_config, add_image_token(tokenizer))
    torch.manual_seed(0)
    model = MiniGeminiForConditionalGeneration(config)
    language: Any = AutoModelForCausalLM.from_pretrained(smollm2_folder(), local_files_only=True, dtype=torch.float32)
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.tie_weights()
    _load_encoders(model)
    _name_words(model, tokenizer)
    model.generation_config.max_new_tokens = ANSWER_TOKENS
    model.generation_config.eos_token_id = [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = MiniGeminiProcessor.from_config(
        config, tokenizer, chat_template=CHAT_TEMPLATES["chatml"], ocr_format="layout"
    )
    return model, processor


def _load_encoders(model: MiniGeminiForConditionalGeneration) -> None:
    """Load EfficientNet-Lite0 as both encoders, and its classifier as the head of the group `classes`."""
    with TemporaryDirectory() as folder:
        converted = Path(folder, "efficientnet-lite0")
        classifier = convert_efficientnet_lite(efficientnet_lite0_weights(), converted)
        weights = load_file(converted / "model.safetensors")
    inner: Any = model.model
    inner.vision_tower.load_state_dict(weights)
    # Mining takes the stage maps; the convolution after them is not built.
    inner.high_res_vision_tower.load_state_dict(weights, strict=False)
    start_from_classifier(inner.multi_modal_projector.groups["classes"], *classifier)
    for tower in (inner.vision_tower, inner.high_res_vision_tower):
        tower.eval()


def _name_words(model: MiniGeminiForConditionalGeneration, tokenizer: Any) -> None:
    """Start every word's embedding from that of its name."""
    inner: Any = model.model
    rows = inner.get_input_embeddings().weight.detach()
    names = {
        "classes": [one.name for one in imagenet_classes()],
        "things": ["nothing", *NAMES],
        "colors": ["nothing", *COLORS],
        "centers": ["nothing", "here"],
    }
    for group, of_group in names.items():
        start_from_names(inner.multi_modal_projector.groups[group], of_group, tokenizer, rows)


def learned_in_vision(names: Iterable[str]) -> list[str]:
    """Select the parameters of `MiniGeminiModel` that the step `visual-words` trains: mining and heads over it."""
    mined = [
        f"multi_modal_projector.groups.{group['name']}.head." for group in WORD_GROUPS if group["source"] == "mined"
    ]
    return [name for name in names if name.startswith(("patch_info_mining.", *mined))]


def load_vision(model: MiniGeminiForConditionalGeneration, recipe: SmallTraining) -> None:
    """Load the result of the step `visual-words`.

    Raises:
        RecipeError: It is missing or does not fit.
    """
    assert recipe.vision is not None
    inner: Any = model.model
    load_part(inner, recipe.vision, recipe.name, names=learned_in_vision(inner.state_dict()))


BASE, ADAPTER = "base", "adapter"


def save_parts(
    weights: Mapping[str, Tensor],
    path: Path,
    model: MiniGeminiForConditionalGeneration,
    adapted: Any,
    processor: MiniGeminiProcessor,
) -> None:
    """Write the result of the step `answers`: the checkpoint `base`, and the LoRA over it, `adapter`.

    Args:
        weights: all weights by their names in the training module.
        path: folder to write; an earlier one is replaced.
        model: the trained model.
        adapted: PEFT's wrapper around it.
        processor: the model's processor.
    """
    own = {
        name.removeprefix("model.").replace(".base_layer.", "."): tensor
        for name, tensor in weights.items()
        if ".lora_" not in name
    }
    with atomic_write(path, replace_folder=True) as aside:
        aside.mkdir()
        save_checkpoint(own, model, processor, torch.bfloat16, aside / BASE)
        adapted.peft_config["default"].base_model_name_or_path = BASE
        lora = {name: tensor.bfloat16() for name, tensor in adapted.state_dict().items() if ".lora_" in name}
        adapted.save_pretrained(aside / ADAPTER, save_embedding_layers=False, state_dict=lora)
        write_sums(aside / ADAPTER)
