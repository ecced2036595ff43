"""Hashes and names of an evaluation set's images, to find them in training data."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from tqdm import tqdm

from ...data.readers import SourceError
from ..parallel import run_tasks
from .record_checks import ImageChecker, spans

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
_KEYS = ("image_id", "image", "image_path", "img_path", "filename", "imgname")
_MIN_STEM_LENGTH = 10
"""Shorter file names, such as `1.png`, occur in unrelated sets and are not compared."""
_BATCH = 64


@dataclass(frozen=True)
class EvaluationSet:
    """Images of an evaluation set.

    Attributes:
        name: name of the set.
        paths: paths of its images.
        hashes: (images, 2) uint64, their difference hashes.
        stems: file names without suffix, of at least 10 characters.
    """

    name: str
    paths: tuple[str, ...]
    hashes: np.ndarray
    stems: frozenset[str]


def read_evaluation_set(path: Path, workers: int = 1) -> EvaluationSet:
    """Read a folder of images, or a JSON file that names images.

    Raises:
        SourceError: The path is neither, or has no images.
    """
    if path.is_dir():
        files = sorted(str(Path(top, name)) for top, _, names in os.walk(path) for name in names if _is_image(name))
        if not files:
            raise SourceError(f"{path}: no images found; give the folder that holds the evaluation set's images")
        batches = [files[first:end] for first, end in spans(len(files), _BATCH)]
        results = tqdm(run_tasks(ImageChecker(), batches, workers), path.name, len(batches), disable=None, delay=2)
        hashes = [checked.hash for batch in results for checked in batch]
        return EvaluationSet(path.name, tuple(files), np.array(hashes, dtype=np.uint64), frozenset())
    try:
        stems = set(_stems(_read_json(path)))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path}: neither a folder of images nor JSON that names images ({error})") from None
    if not stems:
        raise SourceError(f"{path}: names no images under the keys {', '.join(_KEYS)}")
    return EvaluationSet(path.stem, (), np.zeros((0, 2), dtype=np.uint64), frozenset(stems))


def _read_json(path: Path) -> Any:
    """Read a JSON document, or a list of the documents in JSON Lines."""
    data = path.read_bytes()
    try:
        return json.loads(data)
    except ValueError:
        return [json.loads(line) for line in data.splitlines() if line.strip()]


def _is_image(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES)


def _stems(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _stems(entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            if key in _KEYS and isinstance(entry, str | int):
                stem = PurePosixPath(str(entry)).stem
                if len(stem) >= _MIN_STEM_LENGTH:
                    yield stem
            elif isinstance(entry, list | dict):
                yield from _stems(entry)
