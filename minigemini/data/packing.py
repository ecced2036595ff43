"""Collates samples into batches, packed one after another or padded side by side.

A packed row holds whole samples; `position_ids` restart at 0 with each. From the positions and the absence of an
attention mask, Transformers (`masking_utils.find_packed_sequence_indices`) derives attention within samples for SDPA,
eager and flex attention. FlashAttention takes `cu_seq_lens` instead, or derives them itself if the batch has one row.
Transformers ignores positions if there is a cache; the model creates none when it is given labels.

The rest of a row is padding, which is packed as one more sample without labels.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..modeling.native_shape import num_images
from .encoding import IGNORED, POOLING, Encoded

Batch = dict[str, Tensor | int]
PAIRS_PER_TOKEN = 6
"""Pairs of tokens in attention that cost as much as the projections of one token, over the width D. A Llama layer has
12 D² multiplications and additions for each token (4 D² in attention, 8 D² behind it), and 2 D for each pair."""


def pack(lengths: Sequence[int], row_length: int, width: int | None = None) -> list[list[int]]:
    """Distribute samples over rows of nearly equal length: longest first, each into the shortest row.

    Rows of equal length need the least padding. SDPA's attention reads all pairs of tokens of a row, also those of two
    samples, so fewer and longer rows save padding and cost attention.

    Args:
        lengths: tokens of each sample.
        row_length: maximum tokens of a row.
        width: D of the language model, for the number of rows of the least cost. None takes the lowest number.

    Returns:
        Indices of the samples in each row, ascending; rows ordered by their first sample.

    Raises:
        ValueError: A sample is longer than a row.
    """
    if (longest := max(lengths, default=0)) > row_length:
        raise ValueError(
            f"sample of {longest} tokens exceeds row_length={row_length}: set the encoder's max_length to it"
        )
    best: list[list[int]] = []
    least = math.inf
    for count in range(max(1, -(-sum(lengths) // row_length)), len(lengths) + 1):
        rows, filled = _balanced(lengths, count)
        cost = count * filled * (filled + PAIRS_PER_TOKEN * (width or 0))
        if filled <= row_length and cost < least:
            best, least = rows, cost
        if best and (width is None or filled == longest):  # more rows would only add padding
            break
    return sorted(sorted(row) for row in best)


def _balanced(lengths: Sequence[int], count: int) -> tuple[list[list[int]], int]:
    """Distribute samples over `count` rows; returns the rows and the tokens of the longest."""
    rows: list[list[int]] = [[] for _ in range(count)]
    filled = [0] * count
    for sample in sorted(range(len(lengths)), key=lambda sample: -lengths[sample]):
        row = filled.index(min(filled))
        rows[row].append(sample)
        filled[row] += lengths[sample]
    return rows, max(filled)


def pack_rows(rows: Sequence[Sequence[Encoded]], pad_token_id: int, cu_seq_lens: bool = False) -> Batch:
    """Build a batch from rows of samples.

    Args:
        rows: samples of each row; without any, the batch is one token without a label.
        pad_token_id: token for the rest of each row.
        cu_seq_lens: also return FlashAttention's arguments, for the concatenated rows.

    Returns:
        `input_ids`, `labels`, `position_ids` (rows, longest row), and the pixels of all samples in the order of the
        text. With `cu_seq_lens`, `cu_seq_lens_q` and `_k` (samples + paddings + 1,) int32, `max_length_q` and `_k`.
    """
    rows = [row for row in rows if row] or [[_empty_sample(pad_token_id)]]
    longest = max(sum(map(len, row)) for row in rows)
    lengths = [[*map(len, row), longest - sum(map(len, row))] for row in rows]
    batch: Batch = {
        "input_ids": _pad([torch.cat([sample.input_ids for sample in row]) for row in rows], pad_token_id),
        "labels": _pad([torch.cat([sample.labels for sample in row]) for row in rows], IGNORED),
        "position_ids": torch.stack([torch.cat([torch.arange(length) for length in row]) for row in lengths]),
        **_pixels(sample for row in rows for sample in row),
    }
    if cu_seq_lens:
        flat = torch.tensor([length for row in lengths for length in row if length])
        ends = torch.nn.functional.pad(flat.cumsum(0), (1, 0)).to(torch.int32)
        batch |= {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends}
        batch |= dict.fromkeys(("max_length_q", "max_length_k"), int(flat.max()))
    return batch


@dataclass(frozen=True)
class PackedCollator:
    """Packs the samples of a batch into few rows.

    Attributes:
        row_length: maximum tokens of a row. With the maximum length of a batch and no width, there is one row and no
            padding.
        pad_token_id, cu_seq_lens: see `pack_rows`.
        width: see `pack`.
    """

    row_length: int
    pad_token_id: int
    cu_seq_lens: bool = False
    width: int | None = None

    def __call__(self, samples: Sequence[Encoded]) -> Batch:
        """Pack samples; the list may be empty."""
        rows = pack([len(sample) for sample in samples], self.row_length, self.width)
        return pack_rows([[samples[n] for n in row] for row in rows], self.pad_token_id, self.cu_seq_lens)


@dataclass(frozen=True)
class PaddedCollator:
    """Puts each sample into its own row, padded on the right to the longest."""

    pad_token_id: int

    def __call__(self, samples: Sequence[Encoded]) -> Batch:
        """Pad samples: `input_ids`, `labels`, `attention_mask` (samples, longest), and their pixels."""
        samples = list(samples) or [_empty_sample(self.pad_token_id)]
        return {
            "input_ids": _pad([sample.input_ids for sample in samples], self.pad_token_id),
            "labels": _pad([sample.labels for sample in samples], IGNORED),
            "attention_mask": _pad([torch.ones_like(sample.input_ids) for sample in samples], 0),
            **_pixels(samples),
        }


def _pad(rows: list[Tensor], value: int) -> Tensor:
    return pad_sequence(rows, batch_first=True, padding_value=value)


def _pixels(samples: Iterable[Encoded]) -> dict[str, Tensor]:
    all_pixels = [sample.pixels for sample in samples if sample.pixels]
    if any(POOLING in pixels for pixels in all_pixels):  # a sample without videos does not pool
        all_pixels = [{POOLING: _no_pooling(pixels), **pixels} for pixels in all_pixels]
    names = all_pixels[0] if all_pixels else ()
    return {name: torch.cat([pixels[name] for pixels in all_pixels]) for name in names}


def _no_pooling(pixels: dict[str, Tensor]) -> Tensor:
    return torch.ones(num_images(pixels), dtype=torch.int64)


def _empty_sample(pad_token_id: int) -> Encoded:
    """One token without a label: keeps a rank in step if all samples of its batch are bad."""
    return Encoded(torch.tensor([pad_token_id]), torch.tensor([IGNORED]))
