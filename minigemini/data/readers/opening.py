"""Opens the reader for a path by its suffix; JSON by its content."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ..schema import SampleError, SampleIssue
from .base import Reader, SourceError
from .json_files import open_json
from .manifest import SUFFIX, manifest_image_root, read_manifest
from .parquet import ParquetReader
from .shard_folder import INDEX, open_shard_folder, shard_image_root
from .tar import TarReader

_READERS: dict[str, Callable[[Path, Path | None, str], Reader]] = {
    ".json": open_json,
    ".jsonl": open_json,
    ".parquet": lambda path, images, name: ParquetReader([path], images, name),
    ".tar": lambda path, images, name: TarReader([path], name),
}
SUFFIXES = (*_READERS, SUFFIX)
_MAX_SAMPLED = 100
"""Records with images to try: the first ones may be invalid for other reasons."""


def open_reader(
    path: Path, image_root: Path | None = None, name: str | None = None, *, skip_broken: bool = False
) -> Reader:
    """Open a file of samples, a manifest, or a folder of shards.

    Args:
        path: what to open.
        image_root: folder that image paths are relative to; a manifest names its own.
        name: name of the source; the last part of the path by default.
        skip_broken: treat text in a JSON list that is not JSON as an invalid sample, instead of refusing the list.

    Raises:
        SourceError: The path does not exist or is not a source of samples.
        ModuleNotFoundError: The package that reads the format is not installed.
    """
    name = name or path.name
    if path.is_dir():
        return open_shard_folder(path, image_root, name)
    if path.suffix not in SUFFIXES:
        raise SourceError(
            f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(SUFFIXES)}, or a folder with {INDEX}"
        )
    if not path.is_file():
        raise SourceError(f"{path}: no such file; give the file of samples")
    if path.suffix == SUFFIX:
        return read_manifest(path, partial(open_reader, name=name, skip_broken=True))
    if _READERS[path.suffix] is open_json:
        return open_json(path, image_root, name, skip_broken=skip_broken)
    return _READERS[path.suffix](path, image_root, name)


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
    """Folder that image paths are relative to, as a manifest or a folder of shards records it; None for other files.

    Raises:
        SourceError: The manifest or the folder of shards is invalid.
    """
    if path.is_dir():
        return shard_image_root(path)
    return manifest_image_root(path) if path.suffix == SUFFIX and path.is_file() else None
