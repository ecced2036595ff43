"""Photographs as class words, without pixels: what EfficientNet-Lite0's classifier would say at every place.

The scores are drawn by a model of the real ones. Of 1,100 pictures, the scores of a place are `activity · direction`:
strong on objects (a standard deviation of up to 4 over the classes), nearly flat in empty places (0.1), and smooth over
neighboring places (correlation 0.7). On an object its class has a score of 20 to 38, similar classes have shares of
that, and other places have scores of unrelated classes ("clutter"). Pictures of none of the thousand have only clutter.
"""

from dataclasses import dataclass

import numpy as np

from ..lesson import PATCHES_PER_SIDE, VisualWords
from ..similar_classes import similar_classes

PLACES = PATCHES_PER_SIDE**2
CLASSES = 1000

_ROWS, _COLUMNS = np.divmod(np.arange(PLACES), PATCHES_PER_SIDE)


@dataclass(frozen=True)
class PhotoObject:
    """An object to put into a photograph.

    Attributes:
        label: its class.
        confusion: share of its score that one or two similar classes get; 0: sure, 1: no class leads.
    """

    label: int
    confusion: float


def _upsampling() -> np.ndarray:
    """Return the (64, 16) bilinear weights from a grid of 4 x 4 to one of 8 x 8."""
    position = np.clip((np.arange(PATCHES_PER_SIDE) + 0.5) / 2 - 0.5, 0, 3)
    along = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(4)))
    return np.kron(along, along).astype(np.float32)


_UPSAMPLING = _upsampling()
_TEXTURING = np.concatenate([1.4 * _UPSAMPLING, np.full((PLACES, 1), 0.5, np.float32)], axis=1)
"""From 16 patches of texture and one that the whole picture shares to every place."""


def _blob(rng: np.random.Generator, center: tuple[float, float], radius: float) -> np.ndarray:
    """Return (64,) weights around `center` (column, row): 1 there, e^-0.5 at `radius` places, patchy as real ones."""
    stretch = np.exp(rng.normal(0, 0.25))
    distance = np.hypot((_COLUMNS - center[0]) / stretch, (_ROWS - center[1]) * stretch)
    shape = np.exp(-0.5 * (distance / radius) ** 2) * rng.uniform(0.7, 1.1, PLACES)
    return shape.astype(np.float32)


def _direction(rng: np.random.Generator, thing: PhotoObject) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes that score on an object, and their shares of its score; its own has 1."""
    similar = similar_classes()
    neighbors, cosines = similar.indices[thing.label], similar.cosines[thing.label]
    shares = cosines * rng.uniform(0.6, 1.6, len(cosines))
    rivals = np.argsort(-cosines * rng.random(len(cosines)))[: rng.integers(1, 3)]
    shares[rivals] = np.maximum(shares[rivals], thing.confusion * rng.uniform(0.93, 1, len(rivals)))
    return np.append(neighbors, thing.label), np.append(np.minimum(shares, 1), 1).astype(np.float32)


def _centers(rng: np.random.Generator, count: int) -> list[tuple[float, float]]:
    """Return centers of objects, (column, row): one rather in the middle, several apart from each other."""
    if count == 1:
        spread = rng.choice((0.7, 2.0))
        return [tuple(np.clip(rng.normal(3.5, spread, 2), 0.8, 6.2))]
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else rng.choice((0, np.pi))
    angles = turn + 2 * np.pi * np.arange(count) / count
    reach = rng.uniform(1.8, 2.7)
    return [(3.5 + reach * np.cos(angle), 3.5 + reach * np.sin(angle)) for angle in angles]


def draw_scores(rng: np.random.Generator, objects: tuple[PhotoObject, ...]) -> np.ndarray:
    """Return the classifier's scores of a photograph with these objects, (64, 1000).

    Without objects, the picture shows nothing that the classifier knows.
    """
    activity = 1.1 * _UPSAMPLING @ np.exp(rng.normal(-0.7, 0.8, 16)).astype(np.float32)
    scores = np.zeros((CLASSES, PLACES), np.float32)

    def put(thing: PhotoObject, center: tuple[float, float], radius: float, strength: float) -> None:
        shape = _blob(rng, center, radius)
        labels, shares = _direction(rng, thing)
        scores[labels] += shares[:, None] * (strength * shape).astype(np.float32)
        np.maximum(activity, strength / 8 * shape, out=activity)

    single = len(objects) == 1
    for thing, center in zip(objects, _centers(rng, len(objects)), strict=True):
        radius = np.exp(rng.normal(0.7, 0.35)) if single else rng.uniform(1.3, 1.9)
        put(thing, center, radius, strength=rng.uniform(25, 41))
    clutter_strength = rng.uniform(2, 14) if objects else rng.uniform(14, 26)
    for _ in range(rng.integers(4, 9)):
        thing = PhotoObject(int(rng.integers(CLASSES)), confusion=rng.uniform(0, 0.9))
        put(thing, tuple(rng.uniform(0, 7, 2)), rng.uniform(0.7, 1.7), clutter_strength * rng.uniform(0.5, 1.2))
    texture = rng.standard_normal((17, CLASSES), dtype=np.float32)
    return scores.T + activity[:, None] * (_TEXTURING @ texture)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def sharpened(scores: np.ndarray) -> np.ndarray:
    """Return probabilities of every place, sharpened by the whole picture: log p = log p(place) + ½ log p(picture).

    Args:
        scores: (64, 1000). The classifier is linear, so the whole picture's scores are their mean.
    """
    whole = _log_softmax(scores.mean(axis=0))
    return np.exp(_log_softmax(scores + 0.5 * whole))


def most_likely(probabilities: np.ndarray, count: int) -> VisualWords:
    """Keep the `count` most likely words of every place, most likely first."""
    kept = np.argpartition(-probabilities, count, axis=1)[:, :count]
    weights = np.take_along_axis(probabilities, kept, axis=1)
    order = np.argsort(-weights, axis=1, kind="stable")
    kept, weights = np.take_along_axis(kept, order, axis=1), np.take_along_axis(weights, order, axis=1)
    return VisualWords(kept.astype(np.int16), weights.astype(np.float32))
