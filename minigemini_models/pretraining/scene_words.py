"""Visual tokens from dense labels: what a language model sees that has perfect eyes."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, embedding_bag
from transformers import PreTrainedTokenizerBase

from ..scenes.colors import COLORS
from ..scenes.concepts import NAMES
from ..scenes.dense_labels import NUM_COLOR_CLASSES, NUM_LETTER_CLASSES, NUM_NAME_CLASSES, SLOT_COLUMNS, SLOT_ROWS
from ..scenes.lexicon import CHARACTERS

LABELS = ("names", "colours", "centres", "slots")
SLOTS = SLOT_ROWS * SLOT_COLUMNS
_STD = 0.2
"""Standard deviation of new embeddings. Small ones drown in what the first layers add to them."""
_GAIN = 10.0
"""Initial scale of the maps from words, whose embeddings begin with a standard deviation of 0.02."""


class SceneWords(nn.Module):
    """Sums up the embeddings of what a patch shows: its object's name, color and center, and letters by slot.

    A name is embedded as the language model's own tokens that spell it, their mean through a linear map that starts as
    a multiple of the identity, plus an embedding of its own. So what is asked for by its name can be found by likeness
    from the first step on; colors likewise. Letters have an embedding for each slot, and their tokens' too, whatever
    the slot, so that the patch of the letter last read is found by likeness.

    Args:
        width: D, the language model's.
        tokenizer: spells the names; each capital and digit is a token of its own.
    """

    _letter_tokens: Tensor

    def __init__(self, width: int, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.names, self.colours = nn.Embedding(NUM_NAME_CLASSES, width), nn.Embedding(NUM_COLOR_CLASSES, width)
        self.centres = nn.Embedding(2, width)
        self.slots = nn.Embedding(SLOTS * NUM_LETTER_CLASSES, width)
        for table in (self.names, self.colours, self.centres, self.slots):
            nn.init.normal_(table.weight, std=_STD)
        self.name_map, self.color_map, self.letter_map = (nn.Linear(width, width, bias=False) for _ in range(3))
        for linear in (self.name_map, self.color_map, self.letter_map):
            linear.weight.data = _GAIN * torch.eye(width)
        self._name_tokens, self._color_tokens = _spell(NAMES, tokenizer), _spell(COLORS, tokenizer)
        characters: Any = tokenizer.convert_tokens_to_ids(list(CHARACTERS))
        self.register_buffer("_letter_tokens", torch.tensor([0, *characters]), persistent=False)

    def forward(self, labels: Mapping[str, Tensor], word_embeddings: Tensor) -> Tensor:
        """Return visual tokens (n, D).

        Args:
            labels: dense labels of n patches: `names`, `colours`, `centres` (n,), `slots` (n, SLOTS).
            word_embeddings: (V, D), the language model's.
        """
        slots = labels["slots"] + NUM_LETTER_CLASSES * torch.arange(SLOTS, device=labels["slots"].device)
        # A slot without a letter adds nothing; an empty patch is told by the embeddings of class 0.
        filled = (labels["slots"] > 0)[..., None]
        letters = (embedding(slots, self.slots.weight) * filled).sum(-2)
        spelled_letters = (embedding(self._letter_tokens[labels["slots"]], word_embeddings) * filled).sum(-2)
        return (
            self.names(labels["names"])
            + self.name_map(_spelled(labels["names"], self._name_tokens, word_embeddings))
            + self.colours(labels["colours"])
            + self.color_map(_spelled(labels["colours"], self._color_tokens, word_embeddings))
            + self.centres(labels["centres"])
            + letters
            + self.letter_map(spelled_letters)
        )


def patch_labels(labels: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Return the labels of an image's patches row by row, as `SceneWords` takes them."""
    n = labels["names"].size
    return {name: torch.from_numpy(labels[name].reshape(n, *labels[name].shape[2:])) for name in LABELS}


def shows_something(labels: Mapping[str, Tensor]) -> Tensor:
    """Return which patches are not empty, (n,) bool."""
    return (labels["names"] > 0) | (labels["centres"] > 0) | (labels["slots"] > 0).any(-1)


def _spell(names: Iterable[str], tokenizer: Any) -> list[list[int]]:
    """Return the tokens of each class: none for class 0, then those of a name within a sentence."""
    return [[], *(tokenizer(f" {name}", add_special_tokens=False).input_ids for name in names)]


def _spelled(classes: Tensor, tokens: list[list[int]], word_embeddings: Tensor) -> Tensor:
    """Return the mean embedding of the tokens of each class, (n, D); 0 for class 0."""
    spelled = [tokens[number] for number in classes.tolist()]
    offsets = np.cumsum([0, *map(len, spelled)])[:-1]
    ids = torch.tensor([token for one in spelled for token in one], dtype=torch.int64, device=classes.device)
    return embedding_bag(ids, word_embeddings, torch.from_numpy(offsets).to(classes.device), mode="mean")
