"""Reads a CSV file with a header, whose rows are records of any known form."""

import csv
import json
from pathlib import Path

import numpy as np

from ..record_forms import count_images, read_record
from ..schema import Sample, SampleError
from .base import SourceError, parse

MAX_FILE_BYTES = 256 * 2**20
"""Larger tables belong into JSON Lines or Parquet, which are not kept in memory."""


class CsvReader:
    """Reads a CSV file into memory.

    Args:
        path: the file, in UTF-8.
        image_root: folder that image paths are relative to.
        name: name of the source.

    Raises:
        SourceError: The file is too large, is not CSV in UTF-8, or has no rows.
    """

    def __init__(self, path: Path, image_root: Path | None, name: str) -> None:
        self.image_root, self.name = image_root, name
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SourceError(f"{path} has over {MAX_FILE_BYTES:,} bytes: convert it to JSON Lines or Parquet")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = [_record(row) for row in csv.DictReader(file, strict=True)]
        except (csv.Error, UnicodeDecodeError) as error:
            raise SourceError(f"{path} is not CSV in UTF-8 ({error}): save it again") from None
        if not rows:
            raise SourceError(f"{path} has no rows below its header: give a table that has some")
        self._records = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
        self.text_bytes = np.array([len(data) for data in self._records], dtype=np.int32)
        self.images = np.array([count_images(row) for row in rows], dtype=np.int32)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, row: int) -> Sample:
        record = parse(self._records[row])
        try:
            return read_record(record, self.name, self.image_root, row)
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None


def _record(row: dict[str, str]) -> dict[str, str]:
    """A row without empty cells; `DictReader` has surplus cells under None."""
    if None in row:
        raise csv.Error("a row has more cells than the header")
    return {key: value for key, value in row.items() if value}
