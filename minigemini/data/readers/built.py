"""A folder of shards with an index, as `minigemini data build` leaves it.

The index says how many samples each shard has, so that a position in training means the same sample wherever the folder
lies and a shard that is missing, cut off or of another build is noticed when the folder is opened.
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
    """The index of a folder of shards.

    Raises:
        SourceError: It has none, or one that does not fit its shards.
    """
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_bytes())
        known = index["version"] == VERSION and all(
            {"file", "rows", "bytes"} <= set(shard) for shard in index["shards"]
        )
    except FileNotFoundError:
        raise SourceError(f"{folder} has no {INDEX}: name a folder that `minigemini data build` has finished") from None
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise SourceError(f"{folder / INDEX} is no index of shards: build the folder again")
    for shard in index["shards"]:
        path = folder / Path(shard["file"]).name
        size = path.stat().st_size if path.is_file() else None
        if size != shard["bytes"]:
            raise SourceError(
                f"{path}: {'missing' if size is None else f'{size:,} bytes'}, where {INDEX} has {shard['bytes']:,}: "
                "copy it again, or build it again"
            )
    return index


def images_of(folder: Path) -> Path | None:
    """What the pictures' paths of a folder of shards start from; None where they lie inside.

    Raises:
        SourceError: It is not one, or not whole.
    """
    return _images_of(folder, read_index(folder))


def _images_of(folder: Path, index: dict[str, Any]) -> Path | None:
    return None if index["pictures"] == "inside" else Path(os.path.normpath(folder / index["images"]))


def read_built(folder: Path, image_root: Path | None, name: str) -> Reader:
    """All samples of a folder of shards, in their order.

    Raises:
        SourceError: It is not one, or not whole.
    """
    index = read_index(folder)
    paths = [folder / Path(shard["file"]).name for shard in index["shards"] if shard["rows"]]
    name = f"{name} {index['fingerprint']}"
    image_root = image_root or _images_of(folder, index)
    parquet = index["form"] == "parquet"
    reader: Reader = ParquetReader(paths, image_root, name) if parquet else TarReader(paths, name)
    rows = sum(shard["rows"] for shard in index["shards"])
    if len(reader) != rows:
        raise SourceError(f"{folder}: {len(reader):,} samples, where {INDEX} has {rows:,}: build it again")
    return reader
