"""Linear heads that read dense labels off visual tokens, thrown away when they have taught what they are for."""

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..scenes.dense_labels import NUM_COLOR_CLASSES, NUM_LETTER_CLASSES, NUM_NAME_CLASSES, SLOT_COLUMNS, SLOT_ROWS

_WEIGHTS = {"slots": 4.0, "names": 3.0}
"""Share of a label's loss in the sum: letters and things fill few places, and are the point."""


class PatchHeads(nn.Module):
    """What each patch shows, read from its token of `width` channels: name and colour of the thing there, whether it is
    the thing's middle, whether there is text and, if `letters`, which letters in which order."""

    def __init__(self, width: int, letters: bool) -> None:
        super().__init__()
        sizes = {"names": NUM_NAME_CLASSES, "colours": NUM_COLOR_CLASSES, "centres": 2, "text": 2}
        if letters:
            sizes["slots"] = SLOT_ROWS * SLOT_COLUMNS * NUM_LETTER_CLASSES
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, tokens: Tensor, labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Loss and accuracies for tokens (B, N, width) and the labels of `world.samples.labelled_scene`."""
        tokens = self.norm(tokens)
        targets = {name: labels[name].flatten() for name in ("names", "colours", "centres", "slots")}
        targets["text"] = (labels["slots"] > 0).any(-1).flatten().long()
        losses, metrics = [], {}
        for name, head in self.heads.items():
            logits = head(tokens).flatten(0, 1)
            if name == "slots":
                # Where there is text: over all patches a letter would be one slot in fifty, and never be learnt.
                has_text = targets["text"] > 0
                logits = rearrange(logits[has_text], "p (s k) -> (p s) k", k=NUM_LETTER_CLASSES)
                targets[name] = targets[name].unflatten(0, (len(has_text), -1))[has_text].flatten()
            total = cross_entropy(logits, targets[name], reduction="sum")
            losses.append(_WEIGHTS.get(name, 1.0) * total / max(1, len(logits)))
            metrics[f"{name}_accuracy"] = recall(logits, targets[name])
        return {"loss": torch.stack(losses).sum(), **metrics}


def balanced_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss where there is something (label above 0) and mean loss where there is nothing, half of each.

    Where little is labelled, the plain mean is content with "nothing" for tens of thousands of crops (measured in
    docs/experiments.md).
    """
    losses, labeled = cross_entropy(logits, labels, reduction="none"), labels > 0
    halves = [losses[where].sum() / where.sum().clamp(min=1) for where in (labeled, ~labeled)]
    return torch.stack(halves).mean()


def recall(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of right answers among the places where there is something (label above 0), 1 where there is nothing."""
    labeled = labels > 0
    return (logits.argmax(-1) == labels)[labeled].float().sum().add(1e-9) / labeled.sum().add(1e-9)
