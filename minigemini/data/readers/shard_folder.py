"""Reads a folder of shards with an index, written by `minigemini data build`.

The index lists the rows and size of each shard. A position in training therefore means the same sample wherever the
folder is, and a shard that is missing, truncated or from another build is detected when the folder is opened.
"""

import json
import os
from pathlib import Path
from typing import Any

from .base import Reader, SourceError
from .parquet import ParquetReader
from .tar import TarReader

INDEX = "index.json"
VERSION = 1


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a folder of shards and check it against the sizes of the shards.

    Raises:
        SourceError: The folder has no index, or it does not match the shards.
    """
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_bytes())
        known = index["version"] == VERSION and all(
            {"file", "rows", "bytes"} <= set(shard) for shard in index["shards"]
        )
    except FileNotFoundError:
        raise SourceError(f"{folder} has no {INDEX}: give a folder that `minigemini data build` finished") from None
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise SourceError(f"{folder / INDEX} is not an index of shards: build the folder again")
    for shard in index["shards"]:
        path = folder / Path(shard["file"]).name
        size = path.stat().st_size if path.is_file() else None
        if size != shard["bytes"]:
            raise SourceError(
                f"{path} {'is missing' if size is None else f'has {size:,} bytes'}, but {INDEX} lists "
                f"{shard['bytes']:,} bytes: copy or build it again"
            )
    return index


def shard_image_root(folder: Path) -> Path | None:
    """Folder that image paths in the shards are relative to; None if the shards contain the images.

    Raises:
        SourceError: The folder has no valid index.
    """
    return _image_root(folder, read_index(folder))


def _image_root(folder: Path, index: dict[str, Any]) -> Path | None:
    return None if index["pictures"] == "inside" else Path(os.path.normpath(folder / index["images"]))


def open_shard_folder(folder: Path, image_root: Path | None, name: str) -> Reader:
    """Open all shards of a folder as one reader, in the order of the index.

    Raises:
        SourceError: The folder has no valid index, or a shard has another number of rows.
    """
    index = read_index(folder)
    paths = [folder / Path(shard["file"]).name for shard in index["shards"] if shard["rows"]]
    name = f"{name} {index['fingerprint']}"
    image_root = image_root or _image_root(folder, index)
    parquet = index["form"] == "parquet"
    reader: Reader = ParquetReader(paths, image_root, name) if parquet else TarReader(paths, name)
    rows = sum(shard["rows"] for shard in index["shards"])
    if len(reader) != rows:
        raise SourceError(f"{folder} has {len(reader):,} samples, but {INDEX} lists {rows:,}: build it again")
    return reader
