"""Linear heads that predict dense labels from visual tokens; they are discarded after pretraining."""

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..scenes.dense_labels import NUM_COLOR_CLASSES, NUM_LETTER_CLASSES, NUM_NAME_CLASSES, SLOT_COLUMNS, SLOT_ROWS

_WEIGHTS = {"slots": 4.0, "names": 3.0}
"""Weights of the losses that do not count once: letters and objects are sparse and matter most."""


class PatchHeads(nn.Module):
    """Predict what each patch shows from its token of `width` channels.

    The labels are the object's name and color, whether its center is in the patch, whether the patch has text and, if
    `letters`, the ordered letters.
    """

    def __init__(self, width: int, letters: bool) -> None:
        super().__init__()
        sizes = {"names": NUM_NAME_CLASSES, "colours": NUM_COLOR_CLASSES, "centres": 2, "text": 2}
        if letters:
            sizes["slots"] = SLOT_ROWS * SLOT_COLUMNS * NUM_LETTER_CLASSES
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, tokens: Tensor, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss and accuracies for tokens (B, N, width) and the labels of `labeled_scene`."""
        tokens = self.norm(tokens)
        targets = {name: labels[name].flatten() for name in ("names", "colours", "centres", "slots")}
        targets["text"] = (labels["slots"] > 0).any(-1).flatten().long()
        losses, metrics = [], {}
        for name, head in self.heads.items():
            logits = head(tokens).flatten(0, 1)
            if name == "slots":
                # Only patches with text: over all patches one slot in 50 has a letter, and letters are never learned.
                has_text = targets["text"] > 0
                logits = rearrange(logits[has_text], "p (s k) -> (p s) k", k=NUM_LETTER_CLASSES)
                targets[name] = targets[name].unflatten(0, (len(has_text), -1))[has_text].flatten()
            total = cross_entropy(logits, targets[name], reduction="sum")
            losses.append(_WEIGHTS.get(name, 1.0) * total / max(1, len(logits)))
            metrics[f"{name}_accuracy"] = recall(logits, targets[name])
        return {"loss": torch.stack(losses).sum(), **metrics}


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Average the mean loss of labeled positions (label above 0) and the mean loss of all others.

    With sparse labels the plain mean predicts "nothing" for tens of thousands of crops (docs/experiments.md).
    """
    losses, labeled = cross_entropy(logits, labels, reduction="none"), labels > 0
    halves = [losses[where].sum() / where.sum().clamp(min=1) for where in (labeled, ~labeled)]
    return torch.stack(halves).mean()


def recall(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share of right predictions among labeled positions (label above 0); 1 if there are none."""
    labeled = labels > 0
    return (logits.argmax(-1) == labels)[labeled].float().sum().add(1e-9) / labeled.sum().add(1e-9)
