"""Batched greedy decoding with a shared-prefix KV cache; finished sequences are dropped from the batch.

Letters: B prompts · P columns of the prefix, which ends with a prompt's last image · S columns of the suffix.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, StoppingCriteria, StoppingCriteriaList

from ..modeling.outputs import CACHE

GREEDY: dict[str, Any] = {
    "num_beams": 1,
    "do_sample": False,
    # None overrides the sampling settings of the checkpoint's generation_config.
    "temperature": None,
    "top_k": None,
    "top_p": None,
}


@dataclass(frozen=True)
class PromptBatch:
    """The prompts of a batch, each split into prefix and suffix; both parts are left-padded.

    Attributes:
        input_ids, attention_mask: (B, P + S).
        prefix_columns: P; 0 if nothing is shared and the S columns hold whole prompts.
        prefix_row: for each prompt, the first prompt with the same prefix and the same images.
    """

    input_ids: Tensor
    attention_mask: Tensor
    prefix_columns: int
    prefix_row: tuple[int, ...]

    @property
    def lengths(self) -> list[int]:
        """Length of each prompt in tokens."""
        return [int(length) for length in self.attention_mask.sum(1)]


def split_prompts(
    prompts: Sequence[list[int]], shown: Sequence[Hashable], image_token_id: int, pad: int, share: bool
) -> PromptBatch:
    """Pad prompts into tensors.

    Args:
        prompts: token ids of each prompt.
        shown: the images in each prompt.
        image_token_id: id of the image token.
        pad: id of the padding token.
        share: split each prompt after its last image, so that equal prefixes are computed once.
    """
    cuts = [_after_images(prompt, image_token_id) if share else 0 for prompt in prompts]
    prefixes = [prompt[:cut] for prompt, cut in zip(prompts, cuts, strict=True)]
    first: dict[Hashable, int] = {}
    prefix_keys = [(tuple(prefix), images) for prefix, images in zip(prefixes, shown, strict=True)]
    prefix_row = tuple(first.setdefault(key, row) for row, key in enumerate(prefix_keys))
    ids, mask = _padded(prefixes, pad)
    suffix_ids, suffix_mask = _padded([prompt[cut:] for prompt, cut in zip(prompts, cuts, strict=True)], pad)
    return PromptBatch(torch.cat([ids, suffix_ids], 1), torch.cat([mask, suffix_mask], 1), ids.shape[1], prefix_row)


@torch.inference_mode()
def decode_greedily(
    model: Any,
    text: PromptBatch,
    features: Callable[[Sequence[int]], dict[str, Any]],
    max_new_tokens: int,
    device: torch.device,
) -> list[Tensor]:
    """Generate greedily; returns the new tokens of each prompt, including any after the end token.

    Args:
        model: a model with Transformers' `generate`.
        text: the prompts.
        features: maps prompt numbers to the keyword arguments that pass their image features to `forward`.
        max_new_tokens: limit for each prompt.
        device: device of the inputs.
    """
    columns = text.input_ids.shape[1]
    ids, mask = text.input_ids.to(device), text.attention_mask.to(device)
    if not text.prefix_columns:
        whole = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            **features(range(len(ids))),
            **GREEDY,
        )
        return list(whole[:, columns:])
    cache = _prefill(model, text, ids, mask, features)
    ends = torch.tensor(_list(model.generation_config.eos_token_id), device=device)
    stop_at_half = StoppingCriteriaList([_HalfFinished(columns, ends)])
    finished: dict[int, Tensor] = {}
    rows = list(range(len(ids)))
    while rows:
        left = columns + max_new_tokens - ids.shape[1]
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=left,
            stopping_criteria=stop_at_half,
            **{CACHE: cache},
            **GREEDY,
        )
        new = out[:, columns:]
        done = torch.isin(new, ends).any(1) | (new.shape[1] >= max_new_tokens)
        finished |= {row: tokens for row, tokens, is_done in zip(rows, new, done.tolist(), strict=True) if is_done}
        going = (~done).nonzero().flatten()
        rows = [rows[number] for number in going.tolist()]
        ids, mask = out[going], nn.functional.pad(mask, (0, out.shape[1] - mask.shape[1]), value=1)[going]
        cache.batch_select_indices(going.cpu())  # layers may be on several devices
    return [finished[row] for row in range(len(finished))]


class _HalfFinished(StoppingCriteria):
    """Stops once half of the sequences have finished, so that they can be dropped from the batch."""

    def __init__(self, columns: int, ends: Tensor) -> None:
        self.columns, self.ends = columns, ends

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        finished = torch.isin(input_ids[:, self.columns :], self.ends).any(1)
        return torch.full_like(finished, bool(2 * finished.sum() >= len(finished)))


def _prefill(
    model: Any, text: PromptBatch, ids: Tensor, mask: Tensor, features: Callable[[Sequence[int]], dict[str, Any]]
) -> DynamicCache:
    """Compute the KV cache of the first P columns, each distinct prefix once."""
    distinct = list(dict.fromkeys(text.prefix_row))
    cache, prefix_mask = DynamicCache(config=model.config), mask[distinct, : text.prefix_columns]
    model.model(
        input_ids=ids[distinct, : text.prefix_columns],
        attention_mask=prefix_mask,
        position_ids=(prefix_mask.cumsum(1) - 1).clamp(min=0),
        use_cache=True,
        **{CACHE: cache},
        **features(distinct),
    )
    cache.batch_select_indices(torch.tensor([distinct.index(first) for first in text.prefix_row]))
    return cache


def _after_images(prompt: list[int], image_token_id: int) -> int:
    """Index after the last image token; without an image 1, so that neither part is empty."""
    return len(prompt) - prompt[::-1].index(image_token_id) if image_token_id in prompt else 1


def _padded(rows: Sequence[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Left-padded ids and mask, each (rows, longest row)."""
    longest = max(map(len, rows))
    ids = [[pad] * (longest - len(row)) + row for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, dtype=torch.long), torch.tensor(mask, dtype=torch.long)


def _list(given: int | list[int] | None) -> list[int]:
    return [] if given is None else [given] if isinstance(given, int) else given
