"""Train nano's mining and projector: visual tokens as the language model has learned to read them, and captions.

Both encoders and the language model are frozen. The target of each token is what the language model was given for the
patch when it had perfect eyes (`language_task`), so that it understands the connector from the first step of stage 2.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from minigemini.data.encoding import IGNORED
from minigemini.modeling import MiniGeminiForConditionalGeneration, MiniGeminiModel, MiniGeminiProcessor
from minigemini.training.run_outputs import save_checkpoint

from ..pretraining.branches import BranchCollator, Branched, BranchLoss
from ..pretraining.encoder_samples import DOMAINS
from ..pretraining.encoders import normalize, resized, shrink
from ..pretraining.init_model import init_model
from ..pretraining.pretraining_recipe import Pretraining
from ..pretraining.pretraining_task import PretrainingTask, load_part
from ..pretraining.scene_words import LABELS, SceneWords, patch_labels, shows_something
from ..samples.lessons.skills import SKILLS_OF_WORLD
from ..scenes.scene import SCENE_PX
from ..scenes.text_images import text_image
from .language_task import ROW_LENGTH, WORDS, encode_lesson, patches_per_side

_TEXT_SHARE = 2
"""One in so many samples is an image full of text, which is the hardest part and rare in ordinary scenes."""
_TARGET_WEIGHT = 4.0
"""Weight of the distance to the targets beside the captions' loss."""

_MINED_SCALE = 5.0
"""Standard deviation of mined features at first, about that of the features that they are added to."""
_TOKEN_SCALE = 0.1
"""Initial scale of visual tokens beside the default; about that of their targets."""


def alignment_with_labels(recipe: Pretraining) -> PretrainingTask:
    """Learn the tokens of `SceneWords` and captions; the output is a checkpoint of all parts."""
    model, processor = init_model(recipe, with_mining=recipe.high_res_encoder is not None)
    _scale_new_projections(model.model)
    with torch.no_grad():
        model.model.multi_modal_projector[-1].weight.mul_(_TOKEN_SCALE)
    words = SceneWords(model.config.text_config.hidden_size, processor.tokenizer)
    parts = {"mining": r"model\.model\.patch_info_mining\.", "projector": r"model\.model\.multi_modal_projector\."}
    if model.model.patch_info_mining is None:
        del parts["mining"]
    pad: Any = processor.tokenizer.pad_token_id
    return PretrainingTask(
        TokenMatcher(model, words, recipe.global_batch),
        parts,
        partial(sample, processor=processor, world=recipe.world),
        BranchCollator(ROW_LENGTH, pad),
        save=partial(_save, model=model, processor=processor),
        start=partial(_load, model, words, recipe),
    )


def _load(model: MiniGeminiForConditionalGeneration, words: SceneWords, recipe: Pretraining) -> None:
    """Load the parts that were trained separately.

    Raises:
        RecipeError: a part is missing or does not fit.
    """
    inner = model.model
    for module, path in (
        (inner.vision_tower, recipe.low_res_encoder),
        (inner.high_res_vision_tower, recipe.high_res_encoder),
        (nn.ModuleDict({"language_model": inner.language_model, WORDS: words}), recipe.language),
    ):
        if module is not None and path is not None:
            load_part(module, path, recipe.name)


def sample(number: int, processor: MiniGeminiProcessor, world: str = "whole") -> Branched:
    """Return the sample of a number: its `pixels` hold `image` (1, px, px, 3) uint8 and the labels of its patches.

    Args:
        number: even for text images, odd for lessons.
        processor: renders the lessons.
        world: domain of the scenes, see `Pretraining.world`.
    """
    number, is_lesson = divmod(number, _TEXT_SHARE)
    if is_lesson:
        number, is_sign = divmod(number, 2)
        lesson = SKILLS_OF_WORLD[world]["sign" if is_sign else "caption"](number)
        encoded = encode_lesson(lesson, processor, all_patches=True)
        image = np.asarray(lesson.scenes[0].draw()[0])
        return replace(encoded, pixels={**encoded.pixels, "image": torch.from_numpy(image.copy())[None]})
    arrays = text_image(number, DOMAINS[world], SCENE_PX // patches_per_side(processor))
    ids = torch.full((processor.num_image_tokens,), processor.image_token_id)
    return Branched(
        ids,
        torch.full_like(ids, IGNORED),
        {**patch_labels(arrays), "image": torch.from_numpy(arrays["image"].copy())[None]},
        branches=torch.ones_like(ids),
        position_ids=torch.arange(len(ids)),
    )


class TokenMatcher(BranchLoss):
    """The loss of captions and of the distance of visual tokens to their targets.

    Args:
        model: the model.
        words: embeddings that the targets are made from.
        images: number of images in an optimizer step, on all ranks together.
    """

    def __init__(self, model: MiniGeminiForConditionalGeneration, words: SceneWords, images: int) -> None:
        super().__init__(model)
        self.words = words
        self.images = images
        self._distance = torch.tensor(0.0)

    def forward(self, *args: Any, **batch: Any) -> dict[str, Tensor]:
        """Return the loss, a summand of the step's, and its two parts."""
        caption_loss = super().forward(*args, **batch)["loss"]
        share = len(batch["image"]) / self.images
        return {
            "loss": caption_loss + _TARGET_WEIGHT * share * self._distance,
            "caption_loss": caption_loss,
            "token_distance": self._distance,
        }

    def visual_tokens(self, pixels: dict[str, Tensor]) -> Tensor:
        """Return the model's visual tokens, (images, N, D), and keep their distance to the targets.

        The distance is the squared error over the targets' variance: 1 for a constant, 0 for perfect eyes. Patches that
        show something count half, and so do empty ones.
        """
        model = self.model.model
        config = self.model.config
        high_res = resized(normalize(pixels["image"]), config.high_res_size)
        low_res = shrink(high_res, config.low_res_size)
        tokens = model.get_image_features(low_res, high_res, return_dict=True).pooler_output
        labels = {name: pixels[name] for name in LABELS}
        with torch.no_grad():
            targets = self.words(labels, self.model.get_input_embeddings().weight)
        shown = shows_something(labels)
        errors = (rearrange(tokens, "b n d -> (b n) d") - targets).pow(2).mean(-1)
        variance = targets[shown].var(0).mean() if shown.sum() > 1 else targets.pow(2).mean()
        halves = [errors[where].mean() for where in (shown, ~shown) if where.any()]
        self._distance = torch.stack(halves).mean() / variance
        return tokens


def _scale_new_projections(model: MiniGeminiModel) -> None:
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


def _save(
    weights: Mapping[str, Tensor],
    path: Path,
    model: MiniGeminiForConditionalGeneration,
    processor: MiniGeminiProcessor,
) -> None:
    """Write a checkpoint of `model`, which is the submodule of that name."""
    own = {name.removeprefix("model."): tensor for name, tensor in weights.items() if name.startswith("model.")}
    save_checkpoint(own, model, processor, torch.bfloat16, path)
