"""From a path to its reader, by what it is called; JSON by what is in it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ..schema import SampleError, SampleIssue
from . import built, manifest
from .base import Reader, SourceError
from .built import INDEX, read_built
from .json_files import open_json
from .manifest import SUFFIX, read_manifest
from .parquet import ParquetReader
from .tar import TarReader

_READERS: dict[str, Callable[[Path, Path | None, str], Reader]] = {
    ".json": open_json,
    ".jsonl": open_json,
    ".parquet": lambda path, images, name: ParquetReader([path], images, name),
    ".tar": lambda path, images, name: TarReader([path], name),
}
ENDINGS = (*_READERS, SUFFIX)
_LOOKED_AT = 100
"""Records with pictures: others than the first may be broken in their own ways."""


def open_reader(path: Path, image_root: Path | None = None, name: str | None = None, *, mend: bool = False) -> Reader:
    """Open a file of samples, a manifest, or a folder that `minigemini data build` made.

    Args:
        path: what to open.
        image_root: what its pictures' paths start from; a manifest says so itself.
        name: what the source is called; the path's last part by default.
        mend: step over what is not JSON in a list, as over faulty samples, where the list would be refused.

    Raises:
        SourceError: It is not there, or not a source of samples.
        ModuleNotFoundError: What reads it is not installed.
    """
    name = name or path.name
    if path.is_dir():
        return read_built(path, image_root, name)
    if path.suffix not in ENDINGS:
        raise SourceError(f"{path}: unknown ending; give one of {', '.join(ENDINGS)}, or a folder with {INDEX}")
    if not path.is_file():
        raise SourceError(f"{path}: no such file; name the one that holds the samples")
    if path.suffix == SUFFIX:
        return read_manifest(path, partial(open_reader, name=name, mend=True))
    if _READERS[path.suffix] is open_json:
        return open_json(path, image_root, name, mend=mend)
    return _READERS[path.suffix](path, image_root, name)


def lacks_images(reader: Reader) -> bool:
    """Whether a reader was not told what its pictures' paths start from, though its records name some."""
    for row in np.flatnonzero(reader.images)[:_LOOKED_AT].tolist():
        try:
            reader[row]
        except SampleError as error:
            if error.issue is SampleIssue.NO_FOLDER:
                return True
            continue
        return False
    return False


def image_root_of(path: Path) -> Path | None:
    """What pictures' paths start from, of a manifest or a folder of shards, which know it themselves.

    Raises:
        SourceError: It is neither whole nor one.
    """
    if path.is_dir():
        return built.images_of(path)
    return manifest.images_of(path) if path.suffix == SUFFIX and path.is_file() else None
