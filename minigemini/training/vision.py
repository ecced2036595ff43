"""Third step of nano's recipe, alignment: mining and the projector learn to hand on what the frozen encoders see."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ..model import MiniGeminiForConditionalGeneration, MiniGeminiModel
from ..world.samples import crowded_scene, labelled_scene
from .encoders import normalise, shrink
from .heads import PatchHeads
from .loop import Batch, stack

KINDS = ("crowded", "words", "crowded", "sign", "crowded", "few", "crowded", "single", "crowded", "count")
"""Kinds of scene to align on: half are crowded with letters, which are what is hard and rare in ordinary scenes."""
_MINED_SCALE = 5.0


class AlignmentTask:
    """Read dense labels off the visual tokens, through linear heads that are thrown away afterwards."""

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        width = model.config.text_config.hidden_size
        self.model, self.heads = model.model, PatchHeads(width, letters=True)
        self.module = nn.ModuleDict({"model": self.model, "heads": self.heads})
        _start_at_the_scale_of_the_features(model.model)
        freeze_all_but(model, "patch_info_mining", "multi_modal_projector")

    def sample(self, index: int) -> Mapping[str, np.ndarray]:
        kind = KINDS[index % len(KINDS)]
        return crowded_scene(index) if kind == "crowded" else labelled_scene(index, kind)

    collate = staticmethod(stack)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        high_res = normalise(batch["image"])
        tokens = self.model.get_image_features(shrink(high_res), high_res).pooler_output
        return self.heads.loss(tokens, batch)


def _start_at_the_scale_of_the_features(model: MiniGeminiModel) -> None:
    """Makes the new parts' first outputs as large as what they are added to.

    The encoder's features have a standard deviation of 5.7; from Transformers' usual start (0.02) what is mined has one
    of 0.4 and drowns beside them.
    """
    new_parts = [part for part in (model.patch_info_mining, model.multi_modal_projector) if part is not None]
    for linear in (module for part in new_parts for module in part.modules() if isinstance(module, nn.Linear)):
        nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
    if model.patch_info_mining is not None:
        with torch.no_grad():
            model.patch_info_mining.value_proj.linear.weight.mul_(_MINED_SCALE)


def freeze_all_but(model: nn.Module, *trained: str) -> None:
    """Only parameters under a module of one of these names learn.

    Raises:
        ValueError: a name that the model was built without is asked for, except mining in the twin that has none.
    """
    found = set()
    for name, parameter in model.named_parameters():
        parts = set(name.split(".")) & set(trained)
        parameter.requires_grad_(bool(parts))
        found |= parts
    if missing := set(trained) - found - {"patch_info_mining"}:
        raise ValueError(f"no parameter lies under {', '.join(sorted(missing))}: the model has other parts")
