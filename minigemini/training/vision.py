"""Third step of nano's recipe, alignment: mining and the projector learn to hand on what the frozen encoders see."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from ..data.samples import labelled_scene
from ..model import MiniGeminiForConditionalGeneration
from .encoders import normalise, shrink
from .heads import PatchHeads
from .loop import Batch, stack

KINDS = ("single", "few", "count", "sign", "words", "words", "words")
"""Kinds of scene to align on: half of them full of words, since letters are what is hard."""


class AlignmentTask:
    """Read dense labels off the visual tokens, through linear heads that are thrown away afterwards."""

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        width = model.config.text_config.hidden_size
        self.module = nn.ModuleDict({"model": model.model, "heads": PatchHeads(width, letters=True)})
        freeze_all_but(model, "patch_info_mining", "multi_modal_projector")

    def sample(self, index: int) -> Mapping[str, np.ndarray]:
        return labelled_scene(index, KINDS[index % len(KINDS)])

    collate = staticmethod(stack)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        high_res = normalise(batch["image"])
        tokens = self.module["model"].get_image_features(shrink(high_res), high_res).pooler_output
        return self.module["heads"].loss(tokens, batch)


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
