"""Mining and the projector learn to hand on what the frozen encoders see."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from minigemini.io.connector import CONNECTOR_PARTS
from minigemini.modeling import MiniGeminiForConditionalGeneration, MiniGeminiModel, MiniGeminiProcessor
from minigemini.training import trainable
from minigemini.training.run_outputs import save_checkpoint

from ..scenes.labeled_scenes import crowded_scene, labeled_scene
from .encoders import MATERIALS, normalize, resized, shrink
from .init_model import init_model
from .label_heads import PatchHeads
from .pretraining_recipe import Pretraining
from .pretraining_task import Arrays, PretrainingTask, load_part, stack
from .warm_start import warm_start

KINDS = ("crowded", "words", "crowded", "sign", "crowded", "few", "crowded", "single", "crowded", "count")
"""Kinds of scene: half are crowded with letters, which are what is hard and rare in ordinary scenes."""
_MINED_SCALE = 5.0


def mining(recipe: Pretraining) -> PretrainingTask:
    """Read dense labels off the visual tokens, through linear heads that are thrown away.

    What it leaves is a checkpoint of all parts, for stage 1 to start from.
    """
    model, processor = init_model(recipe, with_mining=recipe.high_res_encoder is not None)
    start_at_the_scale_of_the_features(model.model)
    trainable.freeze_encoders(model)
    parts = {"mining": r"model\.model\.patch_info_mining\.", "projector": r"model\.model\.multi_modal_projector\."}
    if model.model.patch_info_mining is None:
        del parts["mining"]
    return PretrainingTask(
        TokenReader(model),
        parts | {"heads": r"heads\."},
        partial(scene, world=recipe.world),
        stack,
        save=partial(_save, model=model, processor=processor),
        start=partial(_load, model.model, recipe),
    )


def _load(model: MiniGeminiModel, recipe: Pretraining) -> None:
    """Load the parts that were trained alone, and begin with what mining and the projector have learnt elsewhere.

    Raises:
        RecipeError: One is not there or does not fit.
    """
    for module, path in (
        (model.vision_tower, recipe.low_res_encoder),
        (model.high_res_vision_tower, recipe.high_res_encoder),
        (model.language_model, recipe.language),
    ):
        if module is not None and path is not None:
            load_part(module, path, recipe.name)
    if model.patch_info_mining is not None:
        # Without mining the projector sees other features than a checkpoint's has learnt to read.
        warm_start({part: getattr(model, part) for part in CONNECTOR_PARTS}, recipe)


def scene(number: int, world: str = "whole") -> Arrays:
    """The sample of a number."""
    kind, domain = KINDS[number % len(KINDS)], MATERIALS[world]
    if kind == "crowded":
        return crowded_scene(number, domain=domain)
    return labeled_scene(number, kind, domain)


class TokenReader(nn.Module):
    """A model's way from pixels to visual tokens, with heads for what each shows."""

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.heads = PatchHeads(model.config.text_config.hidden_size, letters=True)

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Loss and accuracies of scenes (B, px, px, 3) uint8 with the labels of `world.samples.labelled_scene`."""
        high_res = resized(normalize(image), self.model.config.high_res_size)
        tokens = self.model.model.get_image_features(shrink(high_res), high_res, return_dict=True).pooler_output
        return self.heads(tokens, labels)


def start_at_the_scale_of_the_features(model: MiniGeminiModel) -> None:
    """Make the new parts' first outputs as large as what they are added to.

    The encoder's features have a standard deviation of 5.7; from Transformers' usual start (0.02) what is mined has one
    of 0.4 and drowns beside them.
    """
    new_parts = [part for part in (model.patch_info_mining, model.multi_modal_projector) if part is not None]
    for linear in (module for part in new_parts for module in part.modules() if isinstance(module, nn.Linear)):
        nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
    if model.patch_info_mining is not None:
        with torch.no_grad():
            model.patch_info_mining.value_proj.linear.weight.mul_(_MINED_SCALE)


def _save(
    weights: Mapping[str, Tensor],
    path: Path,
    model: MiniGeminiForConditionalGeneration,
    processor: MiniGeminiProcessor,
) -> None:
    own = {name.removeprefix("model."): tensor for name, tensor in weights.items() if name.startswith("model.")}
    save_checkpoint(own, model, processor, torch.bfloat16, path)
