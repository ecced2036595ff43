"""Splits samples into a part for training and a part that is held out, which share no image and no conversation."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..data.schema import ImageInput, Sample, text_of

MAX_HELD_OUT = 200
HELD_OUT_RATIO = 10
"""At most one sample of this many is held out."""


@dataclass(frozen=True)
class Split:
    """Rows of a source, ascending.

    Attributes:
        train: rows to train on.
        held_out: rows to score.
        shared: held-out samples that share an image or a whole conversation with training; above 0 only if all samples
            do, so that no part without overlap exists.
    """

    train: tuple[int, ...]
    held_out: tuple[int, ...]
    shared: int


def keys_of(sample: Sample) -> list[str]:
    """Hashes of a sample's images and videos by content; of its text if it has none."""
    if not sample.images and not sample.videos:
        return [_hash("\n".join(text_of(message) for message in sample.messages).encode())]
    return [_image_hash(image) for image in (*sample.images, *sample.videos)]


def split(rows: Sequence[int], keys: Sequence[Iterable[str]]) -> Split:
    """Hold out a part, chosen by content: the order of the samples and their ids do not matter.

    Args:
        rows: the rows of the usable samples, ascending; at least `HELD_OUT_RATIO`.
        keys: for each, its `keys_of`; samples that share a key stay together.
    """
    wanted = min(MAX_HELD_OUT, len(rows) // HELD_OUT_RATIO)
    held_out: list[int] = []
    for group in _groups(keys):
        if len(held_out) + len(group) <= wanted:
            held_out += group
    shared = 0
    if not held_out:
        order = sorted(range(len(rows)), key=lambda place: _hash(f"{sorted(keys[place])} {place}".encode()))
        held_out, shared = order[:wanted], wanted
    chosen = set(held_out)
    return Split(
        tuple(row for place, row in enumerate(rows) if place not in chosen),
        tuple(row for place, row in enumerate(rows) if place in chosen),
        shared,
    )


def _groups(keys: Sequence[Iterable[str]]) -> list[list[int]]:
    """Places that share keys, directly or through others, ordered by a hash of their content."""
    parents = list(range(len(keys)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    first: dict[str, int] = {}
    for place, own in enumerate(keys):
        for key in own:
            parents[root(place)] = root(first.setdefault(key, place))
    groups: dict[int, list[int]] = defaultdict(list)
    for place in range(len(keys)):
        groups[root(place)].append(place)
    return sorted(groups.values(), key=lambda group: _hash(min(min(keys[place]) for place in group).encode()))


def _image_hash(image: ImageInput) -> str:
    if isinstance(image, Image.Image):
        return _hash(image.tobytes())
    if isinstance(image, Path):
        with image.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    return _hash(image)


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data).hexdigest()
