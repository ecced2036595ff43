"""Linear heads that read dense labels off visual tokens, thrown away after pretraining and alignment."""

from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..world.labels import NUM_COLOUR_CLASSES, NUM_LETTER_CLASSES, NUM_NAME_CLASSES, SLOT_COLUMNS, SLOT_ROWS
from .loop import Batch

_WEIGHTS = {"slots": 4.0, "names": 3.0}
"""Share of a label's loss in the sum: letters and things fill few places, and are the point."""


class PatchHeads(nn.Module):
    """What each patch shows, read from its token of `width` channels: name and colour of the thing there, whether it is
    the thing's middle, whether there is text and, if `letters`, which letters in which order."""

    def __init__(self, width: int, letters: bool) -> None:
        super().__init__()
        sizes = {"names": NUM_NAME_CLASSES, "colours": NUM_COLOUR_CLASSES, "centres": 2, "text": 2}
        if letters:
            sizes["slots"] = SLOT_ROWS * SLOT_COLUMNS * NUM_LETTER_CLASSES
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def loss(self, tokens: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and accuracies for tokens (B, N, width) and the labels of `world.samples.labelled_scene`."""
        tokens = self.norm(tokens)
        labels = {name: batch[name].flatten() for name in ("names", "colours", "centres", "slots")}
        labels["text"] = (batch["slots"] > 0).any(-1).flatten().long()
        loss, figures = tokens.new_zeros(()), {}
        for name, head in self.heads.items():
            logits = head(tokens).flatten(0, 1)
            if name == "slots":
                # Where there is text: over all patches a letter would be one slot in fifty, and never be learnt.
                written = labels["text"] > 0
                logits = rearrange(logits[written], "p (s k) -> (p s) k", k=NUM_LETTER_CLASSES)
                labels[name] = labels[name].unflatten(0, (len(written), -1))[written].flatten()
            total = cross_entropy(logits, labels[name], reduction="sum")
            loss = loss + _WEIGHTS.get(name, 1.0) * total / max(1, len(logits))
            figures[f"{name}_accuracy"] = recall(logits, labels[name])
        return loss, figures


def recall(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of right answers among the places where there is something (label above 0), 1 where there is nothing."""
    there = labels > 0
    return (logits.argmax(-1) == labels)[there].float().sum().add(1e-9) / there.sum().add(1e-9)
