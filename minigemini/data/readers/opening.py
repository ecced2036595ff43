"""Opens the reader for a path: files by suffix, JSON and Parquet by content, folders by the files in them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ..schema import SampleError, SampleIssue
from .base import Reader, SourceError
from .csv_files import CsvReader
from .json_files import open_json
from .manifest import SUFFIX, manifest_image_root, read_manifest
from .parquet import ParquetReader, is_shard
from .shard_folder import INDEX, open_shard_folder, shard_image_root
from .tables import SPLITS, STATE, ParquetTableReader, open_arrow_folder
from .tar import TarReader


def _open_parquet(paths: list[Path], images: Path | None, name: str) -> Reader:
    if all(is_shard(path) for path in paths):
        return ParquetReader(paths, images, name)
    return ParquetTableReader(paths, images, name)


_READERS: dict[str, Callable[[Path, Path | None, str], Reader]] = {
    ".json": open_json,
    ".jsonl": open_json,
    ".csv": CsvReader,
    ".parquet": lambda path, images, name: _open_parquet([path], images, name),
    ".tar": lambda path, images, name: TarReader([path], name),
}
SUFFIXES = (*_READERS, SUFFIX)
METADATA = ("metadata.jsonl", "metadata.csv")
"""Names of the file that describes a folder of images, as in `datasets`; its paths are relative to the folder."""
_MAX_SAMPLED = 100
"""Records with images to try: the first ones may be invalid for other reasons."""


def open_reader(
    path: Path, image_root: Path | None = None, name: str | None = None, *, skip_broken: bool = False
) -> Reader:
    """Open a file of samples, a manifest, or a folder: of shards, of images with metadata, saved by `datasets`.

    Args:
        path: what to open.
        image_root: folder that image paths are relative to; a manifest and metadata name their own.
        name: name of the source; the last part of the path by default.
        skip_broken: treat text in a JSON list that is not JSON as an invalid sample, instead of refusing the list.

    Raises:
        SourceError: The path does not exist or is not a source of samples.
        ModuleNotFoundError: The package that reads the format is not installed.
    """
    name = name or path.name
    if path.is_dir():
        return _open_folder(path, image_root, name)
    if path.suffix not in SUFFIXES:
        raise SourceError(
            f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(SUFFIXES)}, or a folder with {INDEX}"
        )
    if not path.is_file():
        raise SourceError(f"{path}: no such file; give the file of samples")
    if path.suffix == SUFFIX:
        return read_manifest(path, partial(open_reader, name=name, skip_broken=True))
    if image_root is None and path.name in METADATA:
        image_root = path.parent
    if _READERS[path.suffix] is open_json:
        return open_json(path, image_root, name, skip_broken=skip_broken)
    return _READERS[path.suffix](path, image_root, name)


def _open_folder(folder: Path, image_root: Path | None, name: str) -> Reader:
    """Open a folder by the files in it; of Parquet files, those of the split `train` if files are named by splits."""
    if (folder / INDEX).is_file():
        return open_shard_folder(folder, image_root, name)
    if (folder / STATE).is_file() or (folder / SPLITS).is_file():
        return open_arrow_folder(folder, image_root, name)
    for metadata in METADATA:
        if (folder / metadata).is_file():
            return open_reader(folder / metadata, image_root, name)
    if tables := sorted(folder.glob("*.parquet")):
        return _open_parquet([path for path in tables if path.name.startswith("train")] or tables, image_root, name)
    if tars := sorted(folder.glob("*.tar")):
        return TarReader(tars, name)
    raise SourceError(
        f"{folder} has no {INDEX}, {METADATA[0]}, {METADATA[1]}, {STATE} or {SPLITS}, and no .parquet or .tar files: "
        "give a folder with one of them, or a file of samples"
    )


def lacks_images(reader: Reader) -> bool:
    """Whether records name images by path, but the reader was opened without a folder of images."""
    for row in np.flatnonzero(reader.images)[:_MAX_SAMPLED].tolist():
        try:
            reader[row]
        except SampleError as error:
            if error.issue is SampleIssue.NO_FOLDER:
                return True
            continue
        return False
    return False


def image_root_of(path: Path) -> Path | None:
    """Folder that image paths are relative to, if the source itself says so: None for other files.

    Raises:
        SourceError: The manifest or the folder of shards is invalid.
    """
    if path.is_dir():
        return shard_image_root(path) if (path / INDEX).is_file() else path
    if path.name in METADATA:
        return path.parent
    return manifest_image_root(path) if path.suffix == SUFFIX and path.is_file() else None
