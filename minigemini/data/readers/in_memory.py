"""A reader of records in memory, for sources that are small or from which few records are selected."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..schema import Sample, SampleError, from_record
from .base import SourceError, parse


class MemoryReader:
    """Reads records in our format (see `schema`), with `images` a list of paths.

    Args:
        records: the records; each is kept as JSON, which takes a third of the memory of Python objects.
        image_root: folder that the paths are relative to.
        name: name of the source.
        licence: license of all samples.

    Raises:
        SourceError: There are no records.
    """

    def __init__(
        self, records: Iterable[dict[str, Any]], image_root: Path | None, name: str, *, licence: str = ""
    ) -> None:
        self.image_root, self.name = image_root, name
        own = {"source": name, "licence": licence}
        # A lone surrogate invalidates one sample, when it is read.
        kept = [
            (json.dumps({**own, **record}, ensure_ascii=False).encode("utf-8", "surrogatepass"), len(record["images"]))
            for record in records
        ]
        if not kept:
            raise SourceError(f"{name} has no samples: check that its files are complete")
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
