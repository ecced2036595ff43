"""Separate conversations about the same images as one sample, packed into rows.

They share the tokens that all begin with: eight questions cost an image once. Each conversation sees the shared tokens
and itself, at the positions that it would have alone, so that its loss is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from minigemini.data.encoding import IGNORED, Encoded
from minigemini.data.packing import Batch, pack, pack_rows
from minigemini.modeling import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.modeling.head_loss import head_loss

SHARED = 0
"""Branch of the tokens that all conversations see."""


@dataclass(frozen=True, kw_only=True)
class Branched(Encoded):
    """Conversations as model inputs: `pixels` hold what the tokens of their images are made from.

    Attributes:
        branches: (n,) int64, `SHARED` or the number of the conversation, from 1, that a token belongs to.
        position_ids: (n,) int64.
    """

    branches: Tensor
    position_ids: Tensor


def conversation_tokens(
    messages: Sequence[dict[str, Any]], processor: MiniGeminiProcessor
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids and labels of one conversation, (n,) each, with one image token per visual token.

    Args:
        messages: chat messages, with images as placeholders.
        processor: renders them as it does for inference.
    """
    tokenizer: Any = processor.tokenizer
    inputs = tokenizer.apply_chat_template(
        messages,
        chat_template=processor.chat_template,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    ids, trained = np.array(inputs["input_ids"]), np.array(inputs["assistant_masks"])
    # A placeholder stands for all visual tokens of an image.
    repeats = np.where(ids == processor.image_token_id, processor.num_image_tokens, 1)
    ids, trained = np.repeat(ids, repeats), np.repeat(trained, repeats)
    return ids, np.where(trained == 1, ids, IGNORED)


def join(
    encoded: Sequence[tuple[np.ndarray, np.ndarray]], max_length: int, pixels: dict[str, Tensor] | None = None
) -> Branched:
    """Join conversations into one sample.

    Args:
        encoded: ids and labels of each, as `conversation_tokens` returns them.
        max_length: most tokens. Conversations that do not fit are left out; what is still too long is cut off.
        pixels: what the tokens of their images are made from.
    """
    first_ids, first_labels = encoded[0]
    start = _shared_tokens([ids for ids, _ in encoded])
    parts = [(first_ids[:start], first_labels[:start])]
    for ids, labels in encoded:
        if len(parts) == 1 or sum(len(part) for part, _ in parts) + len(ids) - start <= max_length:
            parts.append((ids[start:], labels[start:]))
    lengths = [len(part) for part, _ in parts]
    branches = np.repeat(np.arange(len(parts)), lengths)
    positions = np.concatenate([np.arange(lengths[0]), *(start + np.arange(length) for length in lengths[1:])])
    ids, labels = (np.concatenate(arrays)[:max_length] for arrays in zip(*parts, strict=True))
    return Branched(
        torch.from_numpy(ids),
        torch.from_numpy(labels),
        pixels or {},
        branches=torch.from_numpy(branches[:max_length]),
        position_ids=torch.from_numpy(positions[:max_length]),
    )


def _shared_tokens(sequences: Sequence[np.ndarray]) -> int:
    """Return how many tokens all sequences begin with."""
    shortest = min(map(len, sequences))
    same = (np.stack([ids[:shortest] for ids in sequences]) == sequences[0][:shortest]).all(axis=0)
    return int(np.argmin(same)) if not same.all() else shortest


@dataclass(frozen=True)
class BranchCollator:
    """Packs samples into as few rows as possible.

    Attributes:
        row_length: maximum tokens of a row.
        pad_token_id: token for the rest of each row.
    """

    row_length: int
    pad_token_id: int

    def __call__(self, samples: Sequence[Branched]) -> Batch:
        """Return `pack_rows`' batch with the samples' positions, and `attention_mask` (rows, 1, length, length)."""
        rows = [[samples[n] for n in row] for row in pack([len(sample) for sample in samples], self.row_length)]
        batch = pack_rows(rows, self.pad_token_id)
        sample = _pad([torch.cat([torch.full_like(one.branches, n) for n, one in enumerate(row, 1)]) for row in rows])
        branch = _pad([torch.cat([one.branches for one in row]) for row in rows])
        keys = branch[:, None, :]
        visible = (sample[:, :, None] == sample[:, None, :]) & ((keys == SHARED) | (keys == branch[:, :, None]))
        batch["attention_mask"] = visible.tril()[:, None]
        batch["position_ids"] = _pad([torch.cat([one.position_ids for one in row]) for row in rows])
        return batch


def _pad(rows: list[Tensor]) -> Tensor:
    return pad_sequence(rows, batch_first=True)


class BranchLoss(nn.Module):
    """The loss of packed samples whose visual tokens are made without the encoders; subclasses say how."""

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
        num_items_in_batch: Tensor | int | None = None,
        **pixels: Tensor,
    ) -> dict[str, Tensor]:
        """Return the loss.

        Args:
            input_ids: (rows, length), with one image token per visual token.
            labels: (rows, length).
            position_ids: (rows, length), restarting with each sample.
            attention_mask: (rows, 1, length, length) bool, which tokens each token sees.
            num_items_in_batch: number of labels in the optimizer step.
            **pixels: what visual tokens are made from, in the order of the text.
        """
        inner = self.model.model
        embeds = inner.embed(input_ids)
        if pixels:
            tokens = self.visual_tokens(pixels).to(embeds.dtype)
            embeds = embeds.masked_scatter((input_ids == inner.config.image_token_id)[..., None], tokens)
        hidden = inner.language_model(
            inputs_embeds=embeds, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        )[0]
        targets = labels[:, 1:]
        rows = targets != IGNORED
        return {"loss": head_loss(hidden[:, :-1][rows], self.model.lm_head, targets[rows], num_items_in_batch)}

    def visual_tokens(self, pixels: dict[str, Tensor]) -> Tensor:
        """Return the visual tokens of all images, (…, D)."""
        raise NotImplementedError
