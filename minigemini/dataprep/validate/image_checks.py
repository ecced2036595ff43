"""One picture: whether it can be read, whether it is what its name says, and a fingerprint by which others are like it.

The fingerprint is a difference hash: the picture as 8 x 9 and as 9 x 8 greys, and of each neighbour whether it is
brighter, 128 bits in all. Scaling, recompressing and slight changes of colour flip few of them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...images.decoders import open_isolated
from ...images.safe_images import LIMITS, ImageError, ImageLimits, ImageProblem, format_of, read_encoded
from .issues import IssueKind

HASH_PX = 8
_DECODED_PX = 64
FEW_PX = 16
"""A shorter side: below it a picture is one of a placeholder or a tracking pixel."""
_ENDINGS = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "WEBP": (".webp",), "GIF": (".gif",)}
_OTHER_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True)
class CheckedImage:
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


def examine(image: Path | bytes, limits: ImageLimits = LIMITS) -> CheckedImage:
    """Read a picture once and say what it is."""
    if isinstance(image, bytes):
        return _seen(image, "", "a picture", limits)
    try:
        data = read_encoded(image, limits, image.name)
    except ImageError as error:
        if error.problem is ImageProblem.MISSING:
            return _moved(image, limits)
        return CheckedImage(error.problem.value, str(error))
    return _seen(data, image.suffix, image.name, limits)


def _seen(data: bytes, ending: str, name: str, limits: ImageLimits) -> CheckedImage:
    try:
        seen = open_isolated(data, limits, name, at_least_px=_DECODED_PX)
    except ImageError as error:
        return CheckedImage(error.problem.value, str(error))
    fingerprint = difference_hash(seen)
    form = format_of(data, limits)
    if ending and form and ending.lower() not in _ENDINGS[form]:
        return CheckedImage(IssueKind.MISLABELED.value, f"{name}: a {form}", fingerprint)
    if min(seen.size) < FEW_PX:
        return CheckedImage(IssueKind.UNUSUAL_SIZE.value, f"{name}: {seen.width} x {seen.height} pixels", fingerprint)
    return CheckedImage(hash=fingerprint)


def _moved(image: Path, limits: ImageLimits) -> CheckedImage:
    """A picture that is not there: look for one whose ending alone is another, as when a set was released again."""
    for ending in _OTHER_ENDINGS:
        other = image.with_suffix(ending)
        if ending != image.suffix and os.path.isfile(other):
            seen = examine(other, limits)
            if seen.kind in (None, IssueKind.MISLABELED):
                return CheckedImage(
                    IssueKind.MOVED.value, f"{image.name} lies there as {other.name}", seen.hash, str(other)
                )
    return CheckedImage(ImageProblem.MISSING.value, f"{image.name}: no such file")


def difference_hash(image: Image.Image) -> tuple[int, int]:
    """The fingerprint of a picture, 64 bits along rows and 64 along columns."""
    gray = image.convert("L")
    rows = np.asarray(gray.resize((HASH_PX + 1, HASH_PX), Image.Resampling.BOX), dtype=np.int16)
    columns = np.asarray(gray.resize((HASH_PX, HASH_PX + 1), Image.Resampling.BOX), dtype=np.int16)
    bits = np.concatenate([(rows[:, 1:] > rows[:, :-1]).ravel(), (columns[1:] > columns[:-1]).ravel()])
    first, second = np.packbits(bits).view(">u8")
    return int(first), int(second)
