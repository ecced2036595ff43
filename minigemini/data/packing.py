"""Samples to batches: packed one behind the other without waste, or padded side by side.

A packed row holds whole samples; `position_ids` begin at 0 with each. From them, and from the absence of an attention
mask, Transformers (`masking_utils.find_packed_sequence_indices`) derives attention that stays within a sample, in SDPA,
eager and flex form. FlashAttention takes `cu_seq_lens` instead, or derives them itself where the batch is one row.
Transformers looks at positions only where there is no cache: the model makes none when it is given labels.

What is left of a row is filled up with padding, which is packed as a sample of its own, without labels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .encoding import IGNORED, Encoded

Batch = dict[str, Tensor | int]


def pack(lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Distribute samples over few rows of nearly equal length: the longest first, each into the shortest row.

    Rows of equal length are padded least. Of all numbers of rows the least is taken with which none gets too long.

    Args:
        lengths: tokens of each sample.
        row_length: most tokens of a row.

    Returns:
        The samples of each row by their numbers, in rising order; rows by their first sample.

    Raises:
        ValueError: A sample is longer than a row.
    """
    check_fits(max(lengths, default=0), row_length)
    longest_first = sorted(range(len(lengths)), key=lambda sample: -lengths[sample])
    for count in range(max(1, -(-sum(lengths) // row_length)), len(lengths) + 1):
        rows: list[list[int]] = [[] for _ in range(count)]
        filled = [0] * count
        for sample in longest_first:
            row = filled.index(min(filled))
            rows[row].append(sample)
            filled[row] += lengths[sample]
        if max(filled) <= row_length:
            return sorted(sorted(row) for row in rows)
    return []  # of no samples


def check_fits(length: int, row_length: int) -> None:
    """Raise `ValueError` for a sample that is longer than a row."""
    if length > row_length:
        raise ValueError(f"a sample of {length} tokens in rows of {row_length}: give the encoder that max_length.")


def packed(rows: Sequence[Sequence[Encoded]], pad_token_id: int, cu_seq_lens: bool = False) -> Batch:
    """Make a batch of rows of samples.

    Args:
        rows: the samples of each row; none at all is a batch of one token with nothing to learn.
        pad_token_id: fills up what is left of a row.
        cu_seq_lens: also give FlashAttention's arguments, for the rows one behind the other.

    Returns:
        `input_ids`, `labels`, `position_ids` (rows, longest row), and the pixels of all samples in the order of the
        text. With `cu_seq_lens`, `cu_seq_lens_q` and `_k` (samples + paddings + 1,) int32, `max_length_q` and `_k`.
    """
    rows = [row for row in rows if row] or [[_nothing(pad_token_id)]]
    longest = max(sum(map(len, row)) for row in rows)
    lengths = [[*map(len, row), longest - sum(map(len, row))] for row in rows]
    batch: Batch = {
        "input_ids": _fill([torch.cat([sample.input_ids for sample in row]) for row in rows], pad_token_id),
        "labels": _fill([torch.cat([sample.labels for sample in row]) for row in rows], IGNORED),
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
    """Pack the samples of a batch into as few rows as they fit in.

    Attributes:
        row_length: most tokens of a row. As large as a batch may get, there is one row and no padding at all.
        pad_token_id, cu_seq_lens: as `packed` takes them.
    """

    row_length: int
    pad_token_id: int
    cu_seq_lens: bool = False

    def __call__(self, samples: Sequence[Encoded]) -> Batch:
        """Pack samples, none included."""
        rows = pack([len(sample) for sample in samples], self.row_length)
        return packed([[samples[n] for n in row] for row in rows], self.pad_token_id, self.cu_seq_lens)


@dataclass(frozen=True)
class PaddedCollator:
    """Put each sample into a row of its own, padded on the right to the longest."""

    pad_token_id: int

    def __call__(self, samples: Sequence[Encoded]) -> Batch:
        """Pad samples: `input_ids`, `labels`, `attention_mask` (samples, longest), and their pixels."""
        samples = list(samples) or [_nothing(self.pad_token_id)]
        return {
            "input_ids": _fill([sample.input_ids for sample in samples], self.pad_token_id),
            "labels": _fill([sample.labels for sample in samples], IGNORED),
            "attention_mask": _fill([torch.ones_like(sample.input_ids) for sample in samples], 0),
            **_pixels(samples),
        }


def _fill(rows: list[Tensor], filler: int) -> Tensor:
    return pad_sequence(rows, batch_first=True, padding_value=filler)


def _pixels(samples: Iterable[Encoded]) -> dict[str, Tensor]:
    seen = [sample.pixels for sample in samples if sample.pixels]
    return {name: torch.cat([pixels[name] for pixels in seen]) for name in (seen[0] if seen else ())}


def _nothing(pad_token_id: int) -> Encoded:
    """One token that is not learnt. Where all samples of a rank's batch are faulty, the rank stays in step with it."""
    return Encoded(torch.tensor([pad_token_id]), torch.tensor([IGNORED]))
