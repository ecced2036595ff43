"""Train patch info mining and the projector on dense labels, with frozen encoders."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from minigemini.io.connector import CONNECTOR_PARTS
from minigemini.modeling import MiniGeminiForConditionalGeneration, MiniGeminiModel, MiniGeminiProcessor
from minigemini.training import trainable
from minigemini.training.run_outputs import save_checkpoint

from ..scenes.labeled_scenes import labeled_scene, text_scene
from .encoders import DOMAINS, normalize, resized, shrink
from .init_model import init_model
from .label_heads import PatchHeads
from .pretraining_recipe import Pretraining
from .pretraining_task import Arrays, PretrainingTask, load_part, stack
from .warm_start import warm_start

KINDS = ("crowded", "words", "crowded", "sign", "crowded", "few", "crowded", "single", "crowded", "count")
"""Kinds of scenes. Half are full of text, which is the hardest part and rare in ordinary scenes."""
_MINED_SCALE = 5.0


def mining(recipe: Pretraining) -> PretrainingTask:
    """Predict dense labels from the visual tokens with linear heads, which are discarded.

    The output is a checkpoint of all parts, from which stage 1 starts.
    """
    model, processor = init_model(recipe, with_mining=recipe.high_res_encoder is not None)
    scale_new_projections(model.model)
    trainable.freeze_encoders(model)
    parts = {"mining": r"model\.model\.patch_info_mining\.", "projector": r"model\.model\.multi_modal_projector\."}
    if model.model.patch_info_mining is None:
        del parts["mining"]
    return PretrainingTask(
        TokenReader(model),
        parts | {"heads": r"heads\."},
        partial(scene, world=recipe.world),
        stack,
        save=partial(save_model, model=model, processor=processor),
        start=partial(_load, model.model, recipe),
    )


def _load(model: MiniGeminiModel, recipe: Pretraining) -> None:
    """Load the parts that were trained separately, and initialize the connector from `init_from`.

    Raises:
        RecipeError: a part is missing or does not fit.
    """
    for module, path in (
        (model.vision_tower, recipe.low_res_encoder),
        (model.high_res_vision_tower, recipe.high_res_encoder),
        (model.language_model, recipe.language),
    ):
        if module is not None and path is not None:
            load_part(module, path, recipe.name)
    if model.patch_info_mining is not None:
        # Only with mining: the projector of a checkpoint expects features that include what was mined.
        warm_start({part: getattr(model, part) for part in CONNECTOR_PARTS}, recipe)


def scene(number: int, world: str = "whole") -> Arrays:
    """Return the sample of a number."""
    kind, domain = KINDS[number % len(KINDS)], DOMAINS[world]
    if kind == "crowded":
        return text_scene(number, domain=domain)
    return labeled_scene(number, kind, domain)


class TokenReader(nn.Module):
    """The model from pixels to visual tokens, with linear heads that predict what each token shows."""

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.heads = PatchHeads(model.config.text_config.hidden_size, letters=True)

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Return the loss and accuracies of scenes (B, px, px, 3) uint8 with the labels of `labeled_scene`."""
        high_res = resized(normalize(image), self.model.config.high_res_size)
        tokens = self.model.model.get_image_features(shrink(high_res), high_res, return_dict=True).pooler_output
        return self.heads(tokens, labels)


def scale_new_projections(model: MiniGeminiModel) -> None:
    """Initialize the connector so that mined features have the scale of the features they are added to.

    The encoder's features have a standard deviation of 5.7. With Transformers' default initialization (0.02) the mined
    features have one of 0.4, which is negligible beside them.
    """
    new_parts = [part for part in (model.patch_info_mining, model.multi_modal_projector) if part is not None]
    for linear in (module for part in new_parts for module in part.modules() if isinstance(module, nn.Linear)):
        nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
    if model.patch_info_mining is not None:
        with torch.no_grad():
            model.patch_info_mining.value_proj.linear.weight.mul_(_MINED_SCALE)


def save_model(
    weights: Mapping[str, Tensor],
    path: Path,
    model: MiniGeminiForConditionalGeneration,
    processor: MiniGeminiProcessor,
) -> None:
    """Write a checkpoint of `model`, which is the submodule of that name."""
    own = {name.removeprefix("model."): tensor for name, tensor in weights.items() if name.startswith("model.")}
    save_checkpoint(own, model, processor, torch.bfloat16, path)
