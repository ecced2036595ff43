"""From a recipe to the model and processor that it trains, checked against what it declares."""

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
    """A model as training sees it: a batch in, its loss out. The head runs only where labels are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, num_items_in_batch: Tensor | int | None = None, **batch: Any) -> dict[str, Tensor]:
        """Labels' mean loss; of `num_items_in_batch`, the labels between two optimiser steps, where that is given.

        Beside it, where experts are balanced: `router_loss`, which the loss contains by its weight.
        """
        outputs = self.model(**batch, return_logits=False, num_items_in_batch=num_items_in_batch)
        loss = outputs.loss
        if "pixel_values" not in batch:
            # Without a picture mining and the projector have no part in the loss. Their gradients are zero then, not
            # missing: distributed training waits for every one, and other ranks may have pictures.
            idle = (p for name, p in self.model.named_parameters() if p.requires_grad and _sees(name))
            loss = loss + 0 * sum(p.sum() for p in idle)
        return {"loss": loss} if outputs.aux_loss is None else {"loss": loss, "router_loss": outputs.aux_loss}


def _sees(name: str) -> bool:
    return any(f".{part}." in f".{name}" for part in (*CONNECTOR_PARTS, "vision_tower", "high_res_vision_tower"))


@dataclass(frozen=True)
class BuiltModel:
    """What a recipe trains.

    Attributes:
        lesson: the model, or PEFT's around it, under `lesson.model`.
        model: the model itself.
        processor: with the chat template to train in.
        base: the whole checkpoint that training started from, by the name it was given.
        trained: parameters that train, by part.
        stored: dtype in which the base is stored, and the result will be.
    """

    module: TrainModule
    model: MiniGeminiForConditionalGeneration
    processor: MiniGeminiProcessor
    base: str
    trained: dict[str, int]
    stored: torch.dtype


def find_base(recipe: Recipe) -> ModelSource:
    """The checkpoint that a recipe starts from.

    Raises:
        RecipeError: It is not there, or a damaged one, or one that the recipe cannot start from.
    """
    try:
        source = find_model_source(recipe.base)
    except (CheckpointError, RequestError) as error:
        command = None if Path(recipe.base).exists() else how_to_obtain(recipe.base)
        hint = f"; make it with `{command}`, or give base=" if command else ""
        raise RecipeError(f"{recipe.name}: base {error}{hint}") from None
    if source.adapter is not None and source.adapter.lora is not None:
        raise RecipeError(
            f"{recipe.name}: base {recipe.base} is an adapter; merge it (`minigemini merge`) and name that"
        )
    return source


def configure(recipe: Recipe, config: MiniGeminiConfig) -> MiniGeminiConfig:
    """The base's config with the recipe's geometry: as many high-resolution pixels per tile, one tile or 2 x 2."""
    if recipe.tiling != "base":
        per_tile, config.grid_size = config.high_res_size // config.grid_size, 2 if recipe.tiling == "hd" else 1
        config.high_res_size, config.use_global_tile = per_tile * config.grid_size, recipe.tiling == "hd"
        config.check()
    return config


def build(recipe: Recipe, device: torch.device) -> BuiltModel:
    """Load the base on the CPU, or in 4 bits on `device`, and prepare it for the recipe's stage.

    Raises:
        RecipeError: The base is missing or does not fit, or other parameters would train than the recipe declares.
        RequestError: A library is missing.
    """
    torch.manual_seed(recipe.seed)  # of an adapter's new weights, the same on all ranks
    source = find_base(recipe)
    stored = load_config(source.folder)
    base: Any = load_processor(source.folder, stored)
    config = configure(recipe, load_config(source.folder))
    template = base.chat_template if recipe.chat_format is None else CHAT_TEMPLATES[recipe.chat_format]
    processor = MiniGeminiProcessor.from_config(config, base.tokenizer, chat_template=template, do_pad=not recipe.crop)
    # Stored bfloat16 loads as it is, at half the memory; what trains becomes float32 without loss.
    kinds = {tensor.dtype for tensor in source.checkpoint.tensors.values()}
    dtype = torch.bfloat16 if kinds == {"BF16"} else torch.float32
    quantized = recipe.adapter == "qlora"
    compute = trainable.frozen_dtype(recipe.precision, device)
    placement = Placement(device, compute, "4bit") if quantized else Placement(torch.device("cpu"), dtype)
    model = load_model(source.folder, config, placement)
    parts = trainable.declared(recipe, config)
    # PEFT trains copies of mining and projector: these are float32 already, and so is what stage 1 left of them.
    plain = recipe if recipe.adapter == "none" else replace(recipe, adapter="none", stage="align")
    trainable.set_dtypes(model, trainable.declared(plain, config), compute)
    if source.adapter is not None:
        source.adapter.merge_into(model)
    trainable.freeze_encoders(model)
    if recipe.features is not None:
        cache_features(model, Path(recipe.features), recipe.features_gb)
    if recipe.gradient_checkpointing:
        recompute(model.model.language_model)
    trained: nn.Module = model
    if recipe.adapter != "none":
        trained = _with_adapter(model, recipe)
    trainable.apply(trained, parts)
    counts = trainable.check(trained, parts)
    named = (source.adapter.base if source.adapter is not None else None) or recipe.base
    return BuiltModel(TrainModule(trained), model, processor, named, counts, dtype)


def recompute(language_model: Any) -> None:
    """Switch gradient checkpointing on: its activations, not those of the encoders, are what fills memory."""
    arguments = {"use_reentrant": False}
    if hasattr(language_model, "activation_checkpointing_enable"):  # its name from Transformers 5.23 on
        language_model.activation_checkpointing_enable(arguments)
    else:
        language_model.gradient_checkpointing_enable(arguments)


def _with_adapter(model: MiniGeminiForConditionalGeneration, recipe: Recipe) -> nn.Module:
    """PEFT's model around it: LoRA over every Linear in the language model's layers, small parts whole."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise RecipeError(f"{recipe.name} needs PEFT: pip install 'minigemini[lora]'") from None

    layers: Any = model.model.language_model.layers
    ends = sorted({n.rpartition(".")[2] for n, module in layers.named_modules() if isinstance(module, nn.Linear)})
    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=rf"model\.language_model\.layers\..*\.({'|'.join(ends)})",
        modules_to_save=[part for part in CONNECTOR_PARTS if getattr(model.model, part) is not None],
    )
    # With a picture the first layer's inputs need gradients, for mining; with text alone they would not, and a rank
    # under FSDP2 would then reduce gradients in another order than those beside it.
    model.enable_input_require_grads()
    return get_peft_model(model, config)
