"""Finds, reads and validates official files, which come from untrusted sources."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...images.data_uris import decode_base64
from ..task import DataError

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
MAX_TEXT_BYTES = 4 * 2**30
"""Size limit of a text file; MMBench's are under 100 MB."""


def benchmark_folder(data: Path | None, name: str, files: str) -> Path:
    """The folder of a benchmark's files: one with its name in the data folder, or the data folder itself.

    Raises:
        DataError: No data folder is given, or it does not exist.
    """
    if data is None:
        raise DataError(f"{name} reads official files; give a folder with --data that holds {files}")
    if not data.is_dir():
        raise DataError(f"{data}: no such folder; --data must hold {files}")
    return data / name if (data / name).is_dir() else data


def find_file(folder: Path, names: Sequence[str]) -> Path:
    """The first of the given files that exists. Raises `DataError`."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder}: found none of {', '.join(names)}; put the official file there")


def read_json(path: Path, kind: type) -> Any:
    """Parse a JSON file and check the type of its root. Raises `DataError`."""
    try:
        read = json.loads(_text(path))
    except ValueError as error:
        raise DataError(f"{path}: invalid JSON ({error}); fetch the file again") from None
    if not isinstance(read, kind):
        raise DataError(f"{path}: expected a {kind.__name__}, got a {type(read).__name__}; fetch the official file")
    return read


def read_tsv(path: Path, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Read rows as dicts and check that these columns exist. Raises `DataError`."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        if missing := [column for column in columns if column not in (rows.fieldnames or ())]:
            raise DataError(f"{path}: missing columns {', '.join(missing)}; fetch the official file")
        try:
            yield from rows
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}, line {rows.line_num}: {error}; fetch the file again") from None


def read_parquet(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Read the rows of several files in order. Raises `DataError`, also if pyarrow is missing."""
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
            raise DataError(f"{path}: invalid Parquet ({error}); fetch it again") from None


def required_field(row: Mapping[str, Any], name: str, where: str) -> Any:
    """The value of a field. Raises `DataError` if the row does not have it."""
    if name not in row:
        raise DataError(f"{where}: missing {name!r}; fetch the official file")
    return row[name]


def decode_image(text: str, where: str) -> bytes:
    """Decode an image in base64. Raises `DataError`."""
    try:
        return decode_base64(text)
    except ValueError:
        raise DataError(f"{where}: invalid base64; fetch the file again") from None


def image_bytes(cell: Any, where: str) -> bytes:
    """Bytes of an image as Hugging Face datasets store it, `{"bytes": …, "path": …}`. Raises `DataError`."""
    if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
        return cell["bytes"]
    raise DataError(f"{where}: no image bytes; fetch the official file")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise DataError(
                f"{path}: {path.stat().st_size:,} bytes, but the limit is {MAX_TEXT_BYTES:,}; fetch it again"
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from None
