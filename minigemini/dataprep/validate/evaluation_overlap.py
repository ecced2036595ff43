"""Pictures of evaluation sets, against which training parts are held."""

import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from tqdm import tqdm

from ...data.readers import SourceError
from ..parallel import run_tasks
from .record_checks import ImageWork, record_chunks

_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
_KEYS = ("image_id", "image", "image_path", "img_path", "filename", "imgname")
_SHORTEST_NAME = 10
"""Of a picture's name that is taken to mean the same picture elsewhere: `1.png` does not."""
_BATCH = 64


@dataclass(frozen=True)
class EvaluationSet:
    """What is known of an evaluation set's pictures.

    Attributes:
        name: what it is called.
        paths: its pictures.
        hashes: (pictures, 2) uint64, their fingerprints.
        stems: names of pictures without ending, of those that are long enough to mean something.
    """

    name: str
    paths: tuple[str, ...]
    hashes: np.ndarray
    stems: frozenset[str]


def read_evaluation_set(path: Path, workers: int = 1) -> EvaluationSet:
    """Read a folder of pictures, or a JSON file that names them.

    Raises:
        SourceError: It is neither.
    """
    if path.is_dir():
        files = sorted(str(Path(top, name)) for top, _, names in os.walk(path) for name in names if _is_image(name))
        if not files:
            raise SourceError(f"{path}: no pictures in it: name the folder that holds the evaluation set's")
        batches = [files[first:end] for first, end in record_chunks(len(files), _BATCH)]
        read = tqdm(run_tasks(ImageWork(), batches, workers), path.name, len(batches), disable=None, delay=2)
        hashes = [seen.hash for batch in read for seen in batch]
        return EvaluationSet(path.name, tuple(files), np.array(hashes, dtype=np.uint64), frozenset())
    try:
        names = set(_names(_read_json(path)))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path}: neither a folder of pictures nor JSON that names them ({error})") from None
    if not names:
        raise SourceError(f"{path}: names no pictures under {', '.join(_KEYS)}")
    return EvaluationSet(path.stem, (), np.zeros((0, 2), dtype=np.uint64), frozenset(names))


def _read_json(path: Path) -> Any:
    """A JSON document, or the documents of JSON lines."""
    data = path.read_bytes()
    try:
        return json.loads(data)
    except ValueError:
        return [json.loads(line) for line in data.splitlines() if line.strip()]


def _is_image(name: str) -> bool:
    return name.lower().endswith(_IMAGES)


def _names(value: Any) -> Any:
    if isinstance(value, list):
        for entry in value:
            yield from _names(entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            if key in _KEYS and isinstance(entry, str | int):
                stem = PurePosixPath(str(entry)).stem
                if len(stem) >= _SHORTEST_NAME:
                    yield stem
            elif isinstance(entry, list | dict):
                yield from _names(entry)
