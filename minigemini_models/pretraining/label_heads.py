"""Linear heads that predict dense labels from visual tokens; they are discarded after pretraining."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..scenes.dense_labels import NUM_COLOR_CLASSES, NUM_NAME_CLASSES

_NAMES_WEIGHT = 3.0
"""Weight of the names' loss: objects are sparse and matter most."""


class PatchHeads(nn.Module):
    """Predict what each patch shows from its token of `width` channels.

    The labels are the object's name and color, whether its center is in the patch, and whether the patch has text.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = {"names": NUM_NAME_CLASSES, "colours": NUM_COLOR_CLASSES, "centres": 2, "text": 2}
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, tokens: Tensor, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss and accuracies for tokens (B, N, width) and the labels of `scene_labels`."""
        tokens = self.norm(tokens)
        targets = {name: labels[name].flatten() for name in ("names", "colours", "centres")}
        targets["text"] = (labels["slots"] > 0).any(-1).flatten().long()
        losses, metrics = [], {}
        for name, head in self.heads.items():
            logits = head(tokens).flatten(0, 1)
            weight = _NAMES_WEIGHT if name == "names" else 1.0
            losses.append(weight * balanced_cross_entropy(logits, targets[name]))
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
