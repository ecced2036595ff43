"""Train mining and the words of drawn things on dense labels; both encoders are frozen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minigemini.io.atomic_write import atomic_write
from minigemini.io.hashes import save_tensors
from minigemini.modeling import MiniGeminiModel
from minigemini.modeling.efficientnet_lite import IMAGE_MEAN, IMAGE_STD

from ..pretraining.encoders import normalize, shrink
from ..pretraining.label_heads import balanced_cross_entropy, recall
from ..pretraining.pretraining_task import PretrainingTask, stack
from .labeled_pictures import sample
from .parts_model import LOW_RES_PX, build_parts, learned_in_vision
from .small_recipe import SmallTraining

_WEIGHTS = {"things": 1.0, "colors": 0.5, "centers": 0.5}
"""Weight of each group's loss."""
PARTS = {
    "mining": r"model\.patch_info_mining\.",
    "words": rf"model\.multi_modal_projector\.groups\.({'|'.join(_WEIGHTS)})\.head\.",
}


def visual_words(recipe: SmallTraining) -> PretrainingTask:
    """Learn what is drawn at each place, its color and where its center is."""
    model, _ = build_parts()
    inner: Any = model.model
    inner.language_model = None  # not needed, and most of the memory
    torch.manual_seed(recipe.seed)
    start_mining(inner)
    return PretrainingTask(WordReader(inner), PARTS, sample, stack, save)


def start_mining(model: MiniGeminiModel) -> None:
    """Initialize mining so that what is mined has the scale of the features that it is added to."""
    for module in model.patch_info_mining.modules() if model.patch_info_mining else ():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)


class WordReader(nn.Module):
    """The model from pixels to the scores of the words that are learned."""

    def __init__(self, model: MiniGeminiModel) -> None:
        super().__init__()
        self.model = model
        for tower in (model.vision_tower, model.high_res_vision_tower):
            tower.to(memory_format=torch.channels_last)  # three times as fast in bfloat16

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Return the loss and accuracies of pictures (B, 512, 512, 3) uint8 with the labels of `labeled_pictures`."""
        pixels = normalize(image, IMAGE_MEAN, IMAGE_STD)
        high_res = pixels.contiguous(memory_format=torch.channels_last)
        low_res = shrink(high_res, LOW_RES_PX)
        with torch.no_grad():
            features = self.model.get_low_res_features(low_res)
            maps = self.model.get_high_res_stage_maps(high_res)
        mined = features + self.model.mine(features, maps)
        losses, metrics = [], {}
        groups: Any = self.model.multi_modal_projector.groups
        for group, weight in _WEIGHTS.items():
            logits, targets = groups[group].logits(mined).flatten(0, -2).float(), labels[group].flatten()
            losses.append(weight * balanced_cross_entropy(logits, targets))
            metrics[f"{group}_accuracy"] = recall(logits, targets)
        return {"loss": torch.stack(losses).sum(), **metrics}


def save(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write what was learned, by its names in `MiniGeminiModel`."""
    tensors = {
        name: weights[f"model.{name}"].detach().cpu().contiguous()
        for name in learned_in_vision(name.removeprefix("model.") for name in weights)
    }
    with atomic_write(path) as aside:
        save_tensors(tensors, aside)
