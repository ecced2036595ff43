"""Greedy answers to a batch: what prompts begin with is read once for all that share it, and who has ended leaves.

Letters: B prompts · P columns of what they begin with, up to and with their last picture · S columns of the rest.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, StoppingCriteria, StoppingCriteriaList
from transformers.cache_utils import DynamicLayer

from ..modeling.outputs import CACHE

GREEDY: dict[str, Any] = {
    "num_beams": 1,
    "do_sample": False,
    # None: whatever the checkpoint's generation_config says about drawing does not belong here.
    "temperature": None,
    "top_k": None,
    "top_p": None,
}


@dataclass(frozen=True)
class DecodedText:
    """The prompts of a batch, each cut in two, and both parts padded on the left.

    Attributes:
        input_ids, attention_mask: (B, P + S).
        beginning: P; 0 where nothing is shared, and prompts are whole in the S columns.
        first: of each prompt the first one that begins alike, pictures included.
    """

    input_ids: Tensor
    attention_mask: Tensor
    beginning: int
    first: tuple[int, ...]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each prompt."""
        return [int(length) for length in self.attention_mask.sum(1)]


def cache_layout(
    prompts: Sequence[list[int]], shown: Sequence[Hashable], image_token_id: int, pad: int, share: bool
) -> DecodedText:
    """Make tensors of prompts, given what pictures each shows; `share` cuts them in two."""
    cuts = [_after_images(prompt, image_token_id) if share else 0 for prompt in prompts]
    beginnings = [prompt[:cut] for prompt, cut in zip(prompts, cuts, strict=True)]
    first: dict[Hashable, int] = {}
    looks = [(tuple(beginning), images) for beginning, images in zip(beginnings, shown, strict=True)]
    alike = tuple(first.setdefault(look, number) for number, look in enumerate(looks))
    ids, mask = _padded(beginnings, pad)
    more_ids, more_mask = _padded([prompt[cut:] for prompt, cut in zip(prompts, cuts, strict=True)], pad)
    return DecodedText(torch.cat([ids, more_ids], 1), torch.cat([mask, more_mask], 1), ids.shape[1], alike)


def can_share(model: Any) -> bool:
    """Whether all layers keep all keys and values: a window would count the padding between the two parts."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


@torch.inference_mode()
def greedy(
    model: Any,
    text: DecodedText,
    features: Callable[[Sequence[int]], dict[str, Any]],
    max_new_tokens: int,
    device: torch.device,
) -> list[Tensor]:
    """The new tokens of each prompt, those behind its end included.

    Args:
        model: with Transformers' `generate`.
        text: its prompts.
        features: of prompts, by number, the pictures as the model's forward takes them.
        max_new_tokens: for each.
        device: where inputs go.
    """
    columns = text.input_ids.shape[1]
    ids, mask = text.input_ids.to(device), text.attention_mask.to(device)
    if not text.beginning:
        whole = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            **features(range(len(ids))),
            **GREEDY,
        )
        return list(whole[:, columns:])
    cache = _read_beginnings(model, text, ids, mask, features)
    ends = torch.tensor(_list(model.generation_config.eos_token_id), device=device)
    half = StoppingCriteriaList([_HalfEnded(columns, ends)])
    said: dict[int, Tensor] = {}
    rows = list(range(len(ids)))
    while rows:
        left = columns + max_new_tokens - ids.shape[1]
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=left,
            stopping_criteria=half,
            **{CACHE: cache},
            **GREEDY,
        )
        new = out[:, columns:]
        over = torch.isin(new, ends).any(1) | (new.shape[1] >= max_new_tokens)
        said |= {row: tokens for row, tokens, is_over in zip(rows, new, over.tolist(), strict=True) if is_over}
        going = (~over).nonzero().flatten()
        rows = [rows[number] for number in going.tolist()]
        ids, mask = out[going], nn.functional.pad(mask, (0, out.shape[1] - mask.shape[1]), value=1)[going]
        cache.batch_select_indices(going.cpu())  # layers may lie on several devices
    return [said[row] for row in range(len(said))]


class _HalfEnded(StoppingCriteria):
    """Stops once half of the prompts have their answer, so that the others go on without them."""

    def __init__(self, columns: int, ends: Tensor) -> None:
        self.columns, self.ends = columns, ends

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        ended = torch.isin(input_ids[:, self.columns :], self.ends).any(1)
        return torch.full_like(ended, bool(2 * ended.sum() >= len(ended)))


def _read_beginnings(
    model: Any, text: DecodedText, ids: Tensor, mask: Tensor, features: Callable[[Sequence[int]], dict[str, Any]]
) -> DynamicCache:
    """Keys and values of the first P columns of all prompts, each different beginning read once."""
    different = list(dict.fromkeys(text.first))
    cache, its_mask = DynamicCache(config=model.config), mask[different, : text.beginning]
    model.model(
        input_ids=ids[different, : text.beginning],
        attention_mask=its_mask,
        position_ids=(its_mask.cumsum(1) - 1).clamp(min=0),
        use_cache=True,
        **{CACHE: cache},
        **features(different),
    )
    cache.batch_select_indices(torch.tensor([different.index(first) for first in text.first]))
    return cache


def _after_images(prompt: list[int], image_token_id: int) -> int:
    """Where a prompt goes on behind its last picture; without one behind its first token, so that no part is empty."""
    return len(prompt) - prompt[::-1].index(image_token_id) if image_token_id in prompt else 1


def _padded(rows: Sequence[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and mask, padded on the left."""
    longest = max(map(len, rows))
    ids = [[pad] * (longest - len(row)) + row for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, dtype=torch.long), torch.tensor(mask, dtype=torch.long)


def _list(given: int | list[int] | None) -> list[int]:
    return [] if given is None else [given] if isinstance(given, int) else given
