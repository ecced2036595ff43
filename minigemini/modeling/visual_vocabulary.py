"""A projector of visual words: a softmax over V words, and the mixture of their V embeddings (Ovis, arXiv 2405.20797).

A mixture of embeddings of the language model's own words needs no alignment: if a word's score comes from a classifier
and its embedding from the name of the class, the language model reads the name where the encoder sees the class.

Words come in groups, each with a softmax of its own; a visual token is the sum of the groups' mixtures.

Shape legend:
    B  images
    t  tiles per image
    N  tokens per tile
    C  channels of the features
    V  words of a group
    D  hidden size of the language model
    k  likeliest words that are kept of a group
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SOURCES = ("low_res", "mined")


@dataclass(frozen=True)
class WordGroup:
    """A group of visual words.

    Args:
        name: Name of the group, an identifier: it becomes part of the names of weights.
        size: V, number of words.
        source: What the scores are computed from: "low_res" features alone, or features with what is "mined" added.
        context_weight: Weight w of the whole tile: log p(place) + w · log p(tile's mean feature), renormalized. Above 0
            it sharpens what the tile shows as a whole; 0 scores each place alone.

    Raises:
        ValueError: A value is out of range.
    """

    name: str
    size: int
    source: Literal["low_res", "mined"] = "mined"
    context_weight: float = 0.0

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"a group of visual words is named {self.name!r}; choose a name of letters and digits.")
        if self.size < 1:
            raise ValueError(f"the group {self.name} of visual words has size {self.size}; set it to 1 or more.")
        if self.source not in SOURCES:
            raise ValueError(f"the group {self.name} has source {self.source!r}; choose one of {', '.join(SOURCES)}.")
        if not 0 <= self.context_weight < float("inf"):
            raise ValueError(f"the group {self.name} has context_weight {self.context_weight}; set it to 0 or more.")


class VisualWords(nn.Module):
    """The words of one group: a linear classifier of features, and an embedding of each class."""

    def __init__(self, channels: int, hidden: int, group: WordGroup) -> None:
        super().__init__()
        self.source, self.context_weight = group.source, group.context_weight
        self.head = nn.Linear(channels, group.size)
        self.embeddings = nn.Parameter(torch.empty(group.size, hidden))
        nn.init.normal_(self.embeddings, std=0.02)

    def logits(self, features: Tensor) -> Tensor:
        """Score the words at each place, sharpened by those of the tile: (B, t, N, C) -> (B, t, N, V).

        A softmax of the sum of logits is that of the sum of log-probabilities, because it ignores constants.
        """
        logits = self.head(features)
        if self.context_weight == 0:
            return logits
        # The head is linear: its mean over the places is its value at the mean feature.
        return logits + self.context_weight * logits.mean(dim=-2, keepdim=True)

    def mix(self, probabilities: Tensor) -> Tensor:
        """Mix the embeddings: (…, V) -> (…, D)."""
        return probabilities @ self.embeddings.to(probabilities.dtype)

    def mix_top(self, words: Tensor, weights: Tensor) -> Tensor:
        """Mix the embeddings of some words: indices and weights (…, k) -> (…, D)."""
        return torch.einsum("...k,...kd->...d", weights, self.embeddings.to(weights.dtype)[words])

    def forward(self, features: Tensor) -> Tensor:
        """Mix the embeddings by the probabilities of the words: (B, t, N, C) -> (B, t, N, D)."""
        probabilities = self.logits(features).softmax(dim=-1, dtype=torch.float32)
        return self.mix(probabilities.to(features.dtype))


class VisualVocabulary(nn.Module):
    """Map features to visual tokens: the sum over the groups of mixtures of word embeddings.

    Args:
        channels: C.
        hidden: D.
        groups: The groups of words; at least one.
    """

    def __init__(self, channels: int, hidden: int, groups: Sequence[WordGroup]) -> None:
        super().__init__()
        self.groups = nn.ModuleDict({group.name: VisualWords(channels, hidden, group) for group in groups})

    def logits(self, low_res: Tensor, features: Tensor) -> dict[str, Tensor]:
        """Score the words of each group at each place.

        Args:
            low_res: (B, t, N, C), low-resolution features.
            features: (B, t, N, C), the same with the mined features added.

        Returns:
            (B, t, N, V) by the group's name; the softmax gives the weights of the mixture.
        """
        sources = {"low_res": low_res, "mined": features}
        return {name: words.logits(sources[words.source]) for name, words in self._groups()}

    def forward(self, low_res: Tensor, features: Tensor) -> Tensor:
        """Compute visual tokens; arguments as in `logits`: -> (B, t, N, D)."""
        sources = {"low_res": low_res, "mined": features}
        first, *others = (words(sources[words.source]) for _, words in self._groups())
        return sum(others, first)

    def top_words(self, low_res: Tensor, features: Tensor, k: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Keep the likeliest words of each group; arguments as in `logits`.

        Returns:
            Indices and weights (B, t, N, min(k, V)) by the group's name, likeliest first. The weights sum to 1.
        """
        return {name: top_words(scores, k) for name, scores in self.logits(low_res, features).items()}

    def mix_top(self, words: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Compute visual tokens from words and their weights, as `top_words` returns them: -> (…, D).

        Groups that are left out add nothing.
        """
        first, *others = (group.mix_top(*words[name]) for name, group in self._groups() if name in words)
        return sum(others, first)

    def _groups(self) -> Any:
        return self.groups.items()


def top_words(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The likeliest words and their probabilities, which sum to 1: (…, V) -> indices and weights (…, min(k, V))."""
    scores, words = logits.float().topk(min(k, logits.shape[-1]), dim=-1)
    return words, scores.softmax(dim=-1)


@torch.no_grad()
def start_from_classifier(words: VisualWords, weight: Tensor, bias: Tensor | None, first: int = 0) -> None:
    """Copy a linear classifier into the head of a group.

    Args:
        words: The group.
        weight: (classes, C).
        bias: (classes,); None is 0.
        first: The word that is the first class.

    Raises:
        ValueError: The classifier has more classes than there are words, or other channels.
    """
    rows = slice(first, first + len(weight))
    target = words.head.weight[rows]
    if target.shape != weight.shape:
        raise ValueError(
            f"the classifier has weights {tuple(weight.shape)}, but words {first} to {first + len(weight) - 1} of the "
            f"group have {tuple(target.shape)}: give the group one word per class, and the encoder of the classifier."
        )
    target.copy_(weight)
    words.head.bias[rows] = 0 if bias is None else bias.to(words.head.bias)


@torch.no_grad()
def start_from_names(
    words: VisualWords, names: Sequence[str], tokenizer: Any, embeddings: Tensor, first: int = 0
) -> None:
    """Set the embeddings of words to the mean of the language model's embeddings of their names' tokens.

    Args:
        words: The group.
        names: A plain name for each word.
        tokenizer: The language model's tokenizer. Names are tokenized as in the middle of a sentence.
        embeddings: (vocabulary, D), the language model's input embeddings.
        first: The word that has the first name.

    Raises:
        ValueError: A name has no tokens, or there are more names than words.
    """
    if first + len(names) > len(words.embeddings):
        raise ValueError(f"{len(names)} names for words {first} on, but the group has {len(words.embeddings)} words.")
    for word, name in enumerate(names, start=first):
        words.embeddings[word] = mean_embedding(name, tokenizer, embeddings).to(words.embeddings)


def mean_embedding(name: str, tokenizer: Any, embeddings: Tensor) -> Tensor:
    """The mean of the embeddings (vocabulary, D) of a name's tokens: (D,).

    Raises:
        ValueError: The name has no tokens.
    """
    adds_space = "".join(tokenizer.tokenize(name)[:1]).startswith("▁")  # SentencePiece's mark of a space
    ids = tokenizer.encode(name if adds_space or not name else f" {name}", add_special_tokens=False)
    if not ids:
        raise ValueError(f"the tokenizer makes no tokens of {name!r}; give another name.")
    return F.embedding(torch.tensor(ids, device=embeddings.device), embeddings).float().mean(dim=0)
