"""Builds the model and processor that a recipe trains, and checks which parameters train."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..io.adapters import ModelSource, find_model_source
from ..io.connector import CONNECTOR_PARTS
from ..io.errors import CheckpointError, RequestError
from ..io.loading import load_config, load_model, load_processor
from ..io.placement import Placement
from ..modeling import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from ..modeling.chat_templates import CHAT_TEMPLATES
from . import trainable
from .feature_cache import cache_features
from .recipe import Recipe
from .recipe_registry import how_to_obtain
from .settings import RecipeError


class TrainModule(nn.Module):
    """Maps a batch to its loss; the LM head runs only at positions with labels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, num_items_in_batch: Tensor | int | None = None, **batch: Any) -> dict[str, Tensor]:
        """Compute the loss: its sum over labels divided by `num_items_in_batch`, or the mean if that is None.

        Args:
            num_items_in_batch: number of labels in the whole optimizer step.
            **batch: inputs of the model, with labels.

        Returns:
            `loss`, and for a mixture of experts `router_loss`, which the loss includes with its weight.
        """
        outputs = self.model(**batch, return_logits=False, num_items_in_batch=num_items_in_batch)
        loss = outputs.loss
        if "pixel_values" not in batch:
            # Without an image, the loss does not depend on connector and encoders. Their gradients must be zero rather
            # than missing: distributed training waits for all gradients, and other ranks may have images.
            unused = (p for name, p in self.model.named_parameters() if p.requires_grad and _is_visual(name))
            loss = loss + 0 * sum(p.sum() for p in unused)
        return {"loss": loss} if outputs.aux_loss is None else {"loss": loss, "router_loss": outputs.aux_loss}


def _is_visual(name: str) -> bool:
    return any(f".{part}." in f".{name}" for part in (*CONNECTOR_PARTS, "vision_tower", "high_res_vision_tower"))


@dataclass(frozen=True)
class BuiltModel:
    """The model of a recipe, ready to train.

    Attributes:
        module: computes the loss; `module.model` is the model, or PEFT's wrapper around it.
        model: the model itself.
        processor: the processor with the chat template of training.
        base: name or path of the base checkpoint, as given.
        trained: number of trained parameters by part.
        stored: dtype of the stored base and of the result.
    """

    module: TrainModule
    model: MiniGeminiForConditionalGeneration
    processor: MiniGeminiProcessor
    base: str
    trained: dict[str, int]
    stored: torch.dtype


def find_base(recipe: Recipe) -> ModelSource:
    """Find the checkpoint that a recipe starts from.

    Raises:
        RecipeError: It is missing, damaged, or an adapter.
    """
    try:
        source = find_model_source(recipe.base)
    except (CheckpointError, RequestError) as error:
        command = None if Path(recipe.base).exists() else how_to_obtain(recipe.base)
        hint = f"; create it with `{command}`, or set base=" if command else ""
        raise RecipeError(f"{recipe.name}: base {error}{hint}") from None
    if source.adapter is not None and source.adapter.lora is not None:
        raise RecipeError(
            f"{recipe.name}: base {recipe.base} is an adapter; merge it with `minigemini merge` and use the result"
        )
    return source


def configure(recipe: Recipe, config: MiniGeminiConfig) -> MiniGeminiConfig:
    """Apply the recipe's tiling, and keep the number of high-resolution pixels per tile."""
    if recipe.tiling != "base":
        per_tile, config.grid_size = config.high_res_size // config.grid_size, 2 if recipe.tiling == "hd" else 1
        config.high_res_size, config.use_global_tile = per_tile * config.grid_size, recipe.tiling != "normal"
        config.max_tiles = recipe.max_tiles if recipe.tiling == "native" else None
        config.check()
    return config


def build(recipe: Recipe, device: torch.device) -> BuiltModel:
    """Load the base and prepare it for the recipe's stage.

    Args:
        recipe: the recipe.
        device: the device of 4-bit weights; other weights are loaded on the CPU.

    Raises:
        RecipeError: The base is missing or incompatible, or the trained parameters differ from the declared ones.
        RequestError: A library is missing.
    """
    torch.manual_seed(recipe.seed)  # initializes adapter weights equally on all ranks
    source = find_base(recipe)
    stored = load_config(source.folder)
    base: Any = load_processor(source.folder, stored)
    config = configure(recipe, load_config(source.folder))
    template = base.chat_template if recipe.chat_format is None else CHAT_TEMPLATES[recipe.chat_format]
    processor = MiniGeminiProcessor.from_config(config, base.tokenizer, chat_template=template, do_pad=not recipe.crop)
    # bfloat16 weights load as stored, in half the memory; trained ones are then converted to float32 without loss.
    stored_dtypes = {tensor.dtype for tensor in source.checkpoint.tensors.values()} - {"I64"}  # counters of batch norms
    dtype = torch.bfloat16 if stored_dtypes == {"BF16"} else torch.float32
    quantized = recipe.adapter == "qlora"
    compute = trainable.frozen_dtype(recipe.precision, device)
    placement = Placement(device, compute, "4bit") if quantized else Placement(torch.device("cpu"), dtype)
    model = load_model(source.folder, config, placement)
    parts = trainable.declared(recipe, config)
    # PEFT trains copies of the connector, which must be float32 like the result of stage 1.
    plain = recipe if recipe.adapter == "none" else replace(recipe, adapter="none", stage="align")
    trainable.set_dtypes(model, trainable.declared(plain, config), compute)
    if source.adapter is not None:
        source.adapter.merge_into(model)
    trainable.freeze_encoders(model)
    if recipe.features is not None:
        cache_features(model, Path(recipe.features), recipe.features_gb)
    if recipe.gradient_checkpointing:
        enable_gradient_checkpointing(model.model.language_model)
    trained: nn.Module = model
    if recipe.adapter != "none":
        trained = _with_adapter(model, recipe)
    trainable.apply(trained, parts)
    counts = trainable.check(trained, parts)
    base_name = (source.adapter.base if source.adapter is not None else None) or recipe.base
    return BuiltModel(TrainModule(trained), model, processor, base_name, counts, dtype)


def enable_gradient_checkpointing(language_model: Any) -> None:
    """Enable gradient checkpointing in the language model, whose activations dominate memory."""
    arguments = {"use_reentrant": False}
    if hasattr(language_model, "activation_checkpointing_enable"):  # name since Transformers 5.23
        language_model.activation_checkpointing_enable(arguments)
    else:
        language_model.gradient_checkpointing_enable(arguments)


def import_peft(recipe_name: str) -> Any:
    """Return the module `peft`. Raises `RecipeError` if it is not installed."""
    try:
        import peft
    except ImportError:
        raise RecipeError(f"{recipe_name} needs PEFT: pip install 'minigemini[lora]'") from None
    return peft


def _with_adapter(model: MiniGeminiForConditionalGeneration, recipe: Recipe) -> nn.Module:
    """Wrap the model with PEFT: LoRA on all Linears in the language model's layers; the connector trains fully."""
    peft = import_peft(recipe.name)
    layers: Any = model.model.language_model.layers
    suffixes = sorted({n.rpartition(".")[2] for n, module in layers.named_modules() if isinstance(module, nn.Linear)})
    config = peft.LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=rf"model\.language_model\.layers\..*\.({'|'.join(suffixes)})",
        modules_to_save=[part for part in CONNECTOR_PARTS if getattr(model.model, part) is not None],
    )
    # With an image, the inputs of the first layer need gradients for mining. Text alone would not need them, but under
    # FSDP2 a rank without images would then reduce gradients in a different order from the others.
    model.enable_input_require_grads()
    adapted: nn.Module = peft.get_peft_model(model, config)
    return adapted
