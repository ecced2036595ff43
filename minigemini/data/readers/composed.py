"""Readers composed of other readers: a concatenation of readers, and a subset of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..schema import ImageInput, Sample
from .base import Reader, SourceError


class ConcatReader:
    """Concatenates the rows of several readers.

    Args:
        readers: at least one reader.
        name: name of the source.
    """

    def __init__(self, readers: Sequence[Reader], name: str) -> None:
        self.readers, self.name = list(readers), name
        self._starts = np.cumsum([0, *(len(reader) for reader in self.readers)])
        self.text_bytes = np.concatenate([reader.text_bytes for reader in self.readers])
        self.images = np.concatenate([reader.images for reader in self.readers])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> Sample:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} in {self.name}")
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self.readers[number][row - int(self._starts[number])]


class SubsetReader:
    """Selects rows of a reader, in the given order.

    Args:
        reader: the full source.
        rows: (n,) int, the selected rows.
        moved: new paths of images that moved, by row and old path.

    Raises:
        SourceError: `rows` is empty.
    """

    def __init__(
        self, reader: Reader, rows: np.ndarray, moved: Mapping[int, Mapping[Path, Path]] | None = None
    ) -> None:
        if not len(rows):
            raise SourceError(f"{reader.name}: none of its {len(reader):,} samples is selected")
        self.reader, self.rows, self.moved, self.name = reader, rows, dict(moved or {}), reader.name
        self.text_bytes, self.images = reader.text_bytes[rows], reader.images[rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Sample:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} in {self.name}")
        original = int(self.rows[row])
        sample = self.reader[original]
        if original not in self.moved:
            return sample
        return replace(sample, images=tuple(self._current(original, image) for image in sample.images))

    def _current(self, row: int, image: ImageInput) -> ImageInput:
        return self.moved[row].get(image, image) if isinstance(image, Path) else image
