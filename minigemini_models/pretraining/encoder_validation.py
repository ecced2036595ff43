"""What the linear heads of both encoders read from scenes of the evaluation stream."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from einops import rearrange

from ..scenes.dense_labels import SLOT_ROWS, slot_labels
from ..scenes.lettering import Letter
from ..scenes.scene import SCENE_PX
from ..scenes.splits import SceneDomain, evaluation
from ..scenes.text_images import draw_text_image
from .encoder_samples import object_scene
from .encoders import DetailReader, PatchDescriber
from .pretraining_task import stack

HEIGHTS_PX = ((8, 9), (10, 18), (19, 64))
"""Ranges of capital height, bounds included, by which letters are counted."""
_in_rows = partial(rearrange, pattern="... y x (r c) -> ... (y r) (x c)", r=SLOT_ROWS)


@torch.inference_mode()
def validate(
    high_res: DetailReader, low_res: PatchDescriber, domain: SceneDomain, images: int = 60
) -> dict[str, float]:
    """Return the percentages of letters, names and colors that trained encoders get right.

    A letter is read if it is found in its slot or in the one beside, since letters near the edge between two slots keep
    their order in either. Names and colors are right in a patch that an object covers.

    Args:
        high_res, low_res: the encoders with their heads; they are left in evaluation mode.
        domain: the domain of training. Evaluation holds out its texts, then also its fonts, and the style of its icons.
        images: number of images of each kind.
    """
    high_res.eval()
    low_res.eval()
    figures: dict[str, float] = {}
    for held_out in (("texts",), ("texts", "fonts")):
        for name, share in _letters(high_res, evaluation(*held_out, base=domain), images):
            figures[f"{name}{', unseen fonts' * ('fonts' in held_out)}, %"] = share
    for axes in ((), ("styles",)) if domain.styles else ((),):
        scenes = stack([object_scene(number, evaluation(*axes, base=domain)) for number in range(images)])
        for encoder, by in ((high_res, "the high-resolution encoder"), (low_res, "the low-resolution encoder")):
            metrics = encoder(**scenes)
            for what in ("names", "colours"):
                share = 100 * float(metrics[f"{what}_accuracy"])
                figures[f"{what} by {by}{', unseen style' * bool(axes)}, %"] = share
    return {name: round(share, 1) for name, share in figures.items()}


def _letters(encoder: DetailReader, domain: SceneDomain, images: int) -> Iterator[tuple[str, float]]:
    """Yield the percentages of letters in their slots, and read by height, for heights that occur."""
    drawn = [draw_text_image(np.random.default_rng([domain.stream, number]), domain) for number in range(images)]
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image, _ in drawn]))
    found = _in_rows(encoder.logits(pixels, SCENE_PX)["slots"].argmax(-1).numpy())
    beside = np.pad(found, ((0, 0), (0, 0), (1, 1)))
    whole = [[letter for letter in letters if _is_whole(letter)] for _, letters in drawn]
    labels = _in_rows(np.stack([slot_labels(letters, SCENE_PX) for letters in whole]))
    yield "letters in their slot", _share(found == labels, labels > 0)
    for low, high in HEIGHTS_PX:
        chosen = [[letter for letter in letters if low <= letter.bottom - letter.top <= high] for letters in whole]
        labels = _in_rows(np.stack([slot_labels(letters, SCENE_PX) for letters in chosen]))
        read = (labels == found) | (labels == beside[..., :-2]) | (labels == beside[..., 2:])
        if labels.any():
            yield f"letters of {low} to {high} px read", _share(read, labels > 0)


def _is_whole(letter: Letter) -> bool:
    return min(letter.left, letter.top) >= 0 and max(letter.right, letter.bottom) <= SCENE_PX


def _share(right: np.ndarray, of: np.ndarray) -> float:
    return 100 * float(right[of].mean())
