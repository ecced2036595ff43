"""Which classes the classifier takes for each other: the nearest of its rows."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from minigemini.io.atomic_write import atomic_write

SIMILAR_FILE = Path(__file__).with_name("similar_classes.safetensors")

NEIGHBORS = 10


class SimilarClasses(NamedTuple):
    """The nearest classes of every class, nearest first.

    Attributes:
        indices: (1000, 10) int16.
        cosines: (1000, 10) float32, the cosines of the classifier's rows; 0.1 to 0.8.
    """

    indices: np.ndarray
    cosines: np.ndarray


def nearest_rows(classifier_weight: np.ndarray) -> SimilarClasses:
    """Return the ten nearest rows of every row of a classifier, by cosine.

    Args:
        classifier_weight: (1000, channels).
    """
    rows = classifier_weight / np.linalg.norm(classifier_weight, axis=1, keepdims=True)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    nearest = np.argsort(-cosines, axis=1)[:, :NEIGHBORS]
    return SimilarClasses(nearest.astype(np.int16), np.take_along_axis(cosines, nearest, axis=1).astype(np.float32))


def write_similar_classes(classifier_weight: np.ndarray, path: Path = SIMILAR_FILE) -> None:
    """Write the table of `nearest_rows`, cosines in half precision (40 kB)."""
    similar = nearest_rows(classifier_weight)
    with atomic_write(path) as unfinished:
        save_file({"indices": similar.indices, "cosines": similar.cosines.astype(np.float16)}, unfinished)


@cache
def similar_classes() -> SimilarClasses:
    """Return the table for EfficientNet-Lite0's classifier."""
    table = load_file(SIMILAR_FILE)
    return SimilarClasses(table["indices"], table["cosines"].astype(np.float32))
