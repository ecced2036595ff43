"""One picture: whether it can be read, whether it is what its name says, and a fingerprint by which others are like it.

The fingerprint is a difference hash: the picture as 8 x 9 and as 9 x 8 greys, and of each neighbour whether it is
brighter, 128 bits in all. Scaling, recompressing and slight changes of colour flip few of them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...images.decoders import open_apart
from ...images.safe_images import LIMITS, PictureError, PictureLimits, Problem, format_of, read_encoded
from .issues import Kind

HASH_PX = 8
_DECODED_PX = 64
FEW_PX = 16
"""A shorter side: below it a picture is one of a placeholder or a tracking pixel."""
_ENDINGS = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "WEBP": (".webp",), "GIF": (".gif",)}
_OTHER_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True)
class Seen:
    """What one picture is.

    Attributes:
        kind, reason: what is wrong or noteworthy; None where nothing is.
        hash: (2,) uint64, its fingerprint; zeros where it has none.
        instead: where it lies, if that is elsewhere.
    """

    kind: str | None = None
    reason: str = ""
    hash: tuple[int, int] = (0, 0)
    instead: str | None = None


def examine(picture: Path | bytes, limits: PictureLimits = LIMITS) -> Seen:
    """Read a picture once and say what it is."""
    if isinstance(picture, bytes):
        return _seen(picture, "", "a picture", limits)
    try:
        data = read_encoded(picture, limits, picture.name)
    except PictureError as error:
        if error.problem is Problem.MISSING:
            return _moved(picture, limits)
        return Seen(error.problem.value, str(error))
    return _seen(data, picture.suffix, picture.name, limits)


def _seen(data: bytes, ending: str, name: str, limits: PictureLimits) -> Seen:
    try:
        seen = open_apart(data, limits, name, at_least_px=_DECODED_PX)
    except PictureError as error:
        return Seen(error.problem.value, str(error))
    fingerprint = difference_hash(seen)
    form = format_of(data, limits)
    if ending and form and ending.lower() not in _ENDINGS[form]:
        return Seen(Kind.MISLABELLED.value, f"{name}: a {form}", fingerprint)
    if min(seen.size) < FEW_PX:
        return Seen(Kind.UNUSUAL_SIZE.value, f"{name}: {seen.width} x {seen.height} pixels", fingerprint)
    return Seen(hash=fingerprint)


def _moved(picture: Path, limits: PictureLimits) -> Seen:
    """A picture that is not there: look for one whose ending alone is another, as when a set was released again."""
    for ending in _OTHER_ENDINGS:
        other = picture.with_suffix(ending)
        if ending != picture.suffix and os.path.isfile(other):
            seen = examine(other, limits)
            if seen.kind in (None, Kind.MISLABELLED):
                return Seen(Kind.MOVED.value, f"{picture.name} lies there as {other.name}", seen.hash, str(other))
    return Seen(Problem.MISSING.value, f"{picture.name}: no such file")


def difference_hash(picture: Image.Image) -> tuple[int, int]:
    """The fingerprint of a picture, 64 bits along rows and 64 along columns."""
    grey = picture.convert("L")
    rows = np.asarray(grey.resize((HASH_PX + 1, HASH_PX), Image.Resampling.BOX), dtype=np.int16)
    columns = np.asarray(grey.resize((HASH_PX, HASH_PX + 1), Image.Resampling.BOX), dtype=np.int16)
    bits = np.concatenate([(rows[:, 1:] > rows[:, :-1]).ravel(), (columns[1:] > columns[:-1]).ravel()])
    first, second = np.packbits(bits).view(">u8")
    return int(first), int(second)
