"""Finds and reads official files. They come from anywhere, so whatever is not as it should be is named."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...images.data_uris import decode_base64
from ..task import DataError

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
MOST_BYTES = 4 * 2**30
"""Of one text file: MMBench's are under 100 MB."""


def folder_of(data: Path | None, name: str, files: str) -> Path:
    """Where a benchmark's files lie: in a folder of its name under the data folder, or right in it.

    Raises:
        DataError: no data folder was named, or there is none.
    """
    if data is None:
        raise DataError(f"{name} reads official files; name their folder with --data. It holds {files}")
    if not data.is_dir():
        raise DataError(f"{data}: no such folder; --data names the one that holds {files}")
    return data / name if (data / name).is_dir() else data


def the_file(folder: Path, names: Sequence[str]) -> Path:
    """The first of the names that is there. Raises `DataError`."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder}: holds none of {', '.join(names)}; put the official file there")


def read_json(path: Path, kind: type) -> Any:
    """Raises `DataError`."""
    try:
        read = json.loads(_text(path))
    except ValueError as error:
        raise DataError(f"{path}: no JSON ({error}); fetch the file again") from None
    if not isinstance(read, kind):
        raise DataError(f"{path}: holds a {type(read).__name__}, not a {kind.__name__}; fetch the official file")
    return read


def read_tsv(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Rows by column; at least these columns are there. Raises `DataError`."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        if missing := [column for column in columns if column not in (rows.fieldnames or ())]:
            raise DataError(f"{path}: has no column {', '.join(missing)}; fetch the official file")
        try:
            yield from rows
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}, line {rows.line_num}: {error}; fetch the file again") from None


def read_parquet(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Rows of files in their order. Raises `DataError`, also where pyarrow is missing."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise DataError("Parquet files need pyarrow: pip install 'minigemini[eval]'") from None
    for path in paths:
        try:
            for batch in parquet.ParquetFile(path).iter_batches(batch_size=64):
                yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path}: no Parquet file ({error}); fetch it again") from None


def field(row: Mapping[str, Any], name: str, where: str) -> Any:
    """Raises `DataError` where a row lacks it."""
    if name not in row:
        raise DataError(f"{where}: has no {name!r}; fetch the official file")
    return row[name]


def decoded(text: str, where: str) -> bytes:
    """Bytes of a picture in base64. Raises `DataError`."""
    try:
        return decode_base64(text)
    except ValueError:
        raise DataError(f"{where}: no base64; fetch the file again") from None


def bytes_of(cell: Any, where: str) -> bytes:
    """Of a picture as Hugging Face's datasets store it: `{"bytes": …, "path": …}`. Raises `DataError`."""
    if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
        return cell["bytes"]
    raise DataError(f"{where}: holds no picture's bytes; fetch the official file")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path}: {path.stat().st_size:,} bytes, more than any official file; fetch it again")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from None
