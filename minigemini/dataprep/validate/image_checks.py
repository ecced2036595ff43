"""Checks of one image: whether it can be decoded, whether its format matches its suffix, and a perceptual hash.

The hash is a difference hash: the image is scaled to 8 x 9 and to 9 x 8 gray pixels, and each bit says whether a pixel
is brighter than its neighbor, 128 bits in all. Scaling, recompression and slight color changes flip few of them.
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
MIN_SIDE_PX = 16
"""An image with a shorter side below this is likely a placeholder or a tracking pixel."""
_DECODED_PX = 64
_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "WEBP": (".webp",), "GIF": (".gif",)}
_OTHER_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True)
class CheckedImage:
    """Result of checking one image.

    Attributes:
        kind, reason: the issue with it; `kind` is None if there is none.
        hash: (2,) uint64, its difference hash; zeros if it could not be decoded.
        instead: path at which it was found, if it moved.
    """

    kind: str | None = None
    reason: str = ""
    hash: tuple[int, int] = (0, 0)
    instead: str | None = None


def check_image(image: Path | bytes, limits: ImageLimits = LIMITS) -> CheckedImage:
    """Read and check an image; a missing file is looked up under other suffixes."""
    if isinstance(image, bytes):
        return _check_encoded(image, "", "an image", limits)
    try:
        data = read_encoded(image, limits.max_bytes, image.name)
    except ImageError as error:
        if error.problem is ImageProblem.MISSING:
            return _find_moved(image, limits)
        return CheckedImage(error.problem.value, str(error))
    return _check_encoded(data, image.suffix, image.name, limits)


def _check_encoded(data: bytes, suffix: str, name: str, limits: ImageLimits) -> CheckedImage:
    try:
        image = open_isolated(data, limits, name, at_least_px=_DECODED_PX)
    except ImageError as error:
        return CheckedImage(error.problem.value, str(error))
    bits = difference_hash(image)
    found = format_of(data, limits)
    if suffix and found and suffix.lower() not in _SUFFIXES[found]:
        return CheckedImage(IssueKind.MISLABELED.value, f"{name}: is {found}", bits)
    if min(image.size) < MIN_SIDE_PX:
        return CheckedImage(IssueKind.UNUSUAL_SIZE.value, f"{name}: {image.width} x {image.height} pixels", bits)
    return CheckedImage(hash=bits)


def _find_moved(image: Path, limits: ImageLimits) -> CheckedImage:
    """Look for a missing file under other suffixes: some image sets changed them between releases."""
    for suffix in _OTHER_SUFFIXES:
        other = image.with_suffix(suffix)
        if suffix != image.suffix and os.path.isfile(other):
            checked = check_image(other, limits)
            if checked.kind in (None, IssueKind.MISLABELED):
                return CheckedImage(
                    IssueKind.MOVED.value, f"{image.name} was found as {other.name}", checked.hash, str(other)
                )
    return CheckedImage(ImageProblem.MISSING.value, f"{image.name}: no such file")


def difference_hash(image: Image.Image) -> tuple[int, int]:
    """Compute the difference hash of an image: 64 bits along rows, 64 bits along columns."""
    gray = image.convert("L")
    rows = np.asarray(gray.resize((HASH_PX + 1, HASH_PX), Image.Resampling.BOX), dtype=np.int16)
    columns = np.asarray(gray.resize((HASH_PX, HASH_PX + 1), Image.Resampling.BOX), dtype=np.int16)
    bits = np.concatenate([(rows[:, 1:] > rows[:, :-1]).ravel(), (columns[1:] > columns[:-1]).ravel()])
    first, second = np.packbits(bits).view(">u8")
    return int(first), int(second)
