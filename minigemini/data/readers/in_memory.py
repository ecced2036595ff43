"""Samples that are kept in memory: what sources give that are small, or small once they have been chosen from."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..schema import Sample, SampleError, from_record
from .base import SourceError, parse


class MemoryReader:
    """Records of ours (`schema`), with `images` a list of paths under `image_root`.

    Args:
        records: what there is; each is kept as JSON, which takes a third of what Python's objects do.
        image_root: what their paths start from.
        name: what the source is called.
        licence: of every sample in it.

    Raises:
        SourceError: There are none.
    """

    def __init__(
        self, records: Iterable[dict[str, Any]], image_root: Path | None, name: str, *, licence: str = ""
    ) -> None:
        self.image_root, self.name = image_root, name
        own = {"source": name, "licence": licence}
        # Half a surrogate pair is the reader's to refuse, sample by sample.
        kept = [
            (json.dumps({**own, **record}, ensure_ascii=False).encode("utf-8", "surrogatepass"), len(record["images"]))
            for record in records
        ]
        if not kept:
            raise SourceError(f"{name} has no samples: see that its files are whole.")
        self._records = [data for data, _ in kept]
        self.text_bytes = np.array([len(data) for data, _ in kept], dtype=np.int32)
        self.images = np.array([images for _, images in kept], dtype=np.int32)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, row: int) -> Sample:
        record = parse(self._records[row])
        try:
            return from_record(record, record["images"], self.image_root)
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None
