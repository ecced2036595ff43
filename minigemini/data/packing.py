"""Collates samples into batches, packed one after another or padded side by side.

A packed row holds whole samples; `position_ids` restart at 0 with each. From the positions and the absence of an
attention mask, Transformers (`masking_utils.find_packed_sequence_indices`) derives attention within samples for SDPA,
eager and flex attention. FlashAttention takes `cu_seq_lens` instead, or derives them itself if the batch has one row.
Transformers ignores positions if there is a cache; the model creates none when it is given labels.

The rest of a row is padding, which is packed as one more sample without labels.
"""

import heapq
from bisect import bisect_left
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
    if not lengths:
        return []
    # One row more never makes the longest longer: each row of the one packing has at most the length of its rank in
    # the other, and stays so whichever sample both add to their shortest.
    counts = range(max(1, -(-sum(lengths) // row_length)), len(lengths) + 1)
    fewest = counts[bisect_left(counts, True, key=lambda count: _balanced(lengths, count)[1] <= row_length)]
    best, filled = _balanced(lengths, fewest)
    if width is not None:
        least = _cost(fewest, filled, width)
        count = fewest + 1
        # No row is shorter than the longest sample, which bounds the cost of more rows from below.
        while count <= len(lengths) and _cost(count, longest, width) < least:
            rows, filled = _balanced(lengths, count)
            if (cost := _cost(count, filled, width)) < least:
                best, least = rows, cost
            count += 1
    return sorted(sorted(row) for row in best)


def _cost(rows: int, tokens: int, width: int) -> int:
    """Time of `rows` rows of `tokens` tokens, in pairs of tokens that attend to each other."""
    return rows * tokens * (tokens + PAIRS_PER_TOKEN * width)


def _balanced(lengths: Sequence[int], count: int) -> tuple[list[list[int]], int]:
    """Add each sample, longest first, to the shortest of `count` rows; returns the rows and the longest's tokens."""
    heap = [(0, row) for row in range(count)]  # the shortest row, and the first of these
    rows: list[list[int]] = [[] for _ in range(count)]
    for sample in sorted(range(len(lengths)), key=lambda sample: -lengths[sample]):
        filled, row = heap[0]
        rows[row].append(sample)
        heapq.heapreplace(heap, (filled + lengths[sample], row))
    return rows, max(filled for filled, _ in heap)


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
