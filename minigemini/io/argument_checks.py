"""Validation of arguments. Each check raises a `RequestError` that names the argument and its value."""

import math
import os
from collections.abc import Sequence
from io import TextIOBase
from numbers import Integral, Real
from typing import Any, TypeVar

from PIL import Image

from .errors import RequestError

T = TypeVar("T")
_MAX_SHOWN_CHARS = 60


def shown(value: object) -> str:
    """Format a value for an error message in one short line; long values are preceded by their type."""
    text = " ".join(ascii(value).split())
    return text if len(text) <= _MAX_SHOWN_CHARS else f"a {type(value).__name__} ({text[:_MAX_SHOWN_CHARS]}…)"


def check_integer(name: str, value: object, least: int, most: int | None = None) -> None:
    """Check that a value is an integer from `least` to `most`."""
    is_valid = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_valid or value < least or (most is not None and value > most):  # type: ignore[operator]
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise RequestError(f"{name} is {shown(value)}; expected a whole number, {bounds}")


def check_number(name: str, value: object, least: float, most: float, meaning: str = "") -> None:
    """Check that a value is a number from `least` to `most`; NaN is not."""
    is_valid = isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
    if not is_valid or not least <= value <= most:  # type: ignore[operator]
        raise RequestError(f"{name} is {shown(value)}; expected {least:g} to {most:g}{meaning}")


def check_text(name: str, value: object) -> None:
    """Check that a value is a string that UTF-8 can encode."""
    if not isinstance(value, str):
        raise RequestError(f"{name} is {shown(value)}; expected a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"{name} contains {value[error.start]!a}, which is not UTF-8; use a terminal or a file in UTF-8"
        ) from None


def check_type(name: str, value: object, kind: type[T] | tuple[type[T], ...], what: str) -> None:
    """Check the type of a value; `what` describes the valid types."""
    if not isinstance(value, kind):
        raise RequestError(f"{name} is {shown(value)}; expected {what}")


def check_path(name: str, value: object) -> None:
    """Check that a value is a non-empty path."""
    if not isinstance(value, str | os.PathLike) or not value:
        raise RequestError(f"{name} is {shown(value)}; expected a name or a path")


def as_image_list(images: Any) -> Sequence[Any]:
    """Convert one image, or a list or tuple of images, to a sequence of valid image sources."""
    several = images if isinstance(images, list | tuple) else [images]
    for number, image in enumerate(several, start=1):
        check_image(image, f"picture {number}")
    return several


def check_image(image: object, name: str = "picture") -> None:
    """Check that a value can be an image source: a path, bytes, a binary file, an image or an array."""
    if isinstance(image, TextIOBase):
        raise RequestError(f"{name} is a file of text; open it with mode 'rb'")
    known = isinstance(image, str | os.PathLike | bytes | bytearray | Image.Image)
    if not known and not hasattr(image, "read") and not hasattr(image, "__array__"):
        raise RequestError(f"{name} is {shown(image)}; expected a path, bytes, a binary file or a PIL.Image")
