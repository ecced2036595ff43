"""What callers hand over, checked in one place: each refusal is a `RequestError` that names the argument and value."""

import math
import os
from collections.abc import Sequence
from io import TextIOBase
from numbers import Integral, Real
from typing import Any, TypeVar

from PIL import Image

from .errors import RequestError

T = TypeVar("T")
_MOST_SHOWN = 60


def shown(value: object) -> str:
    """A value as an error names it: short, in one line, its type where that is what is wrong."""
    text = " ".join(ascii(value).split())
    return text if len(text) <= _MOST_SHOWN else f"a {type(value).__name__} ({text[:_MOST_SHOWN]}…)"


def check_integer(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number from `least` to `most`."""
    right = isinstance(value, Integral) and not isinstance(value, bool)
    if not right or value < least or (most is not None and value > most):  # type: ignore[operator]
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise RequestError(f"{name} is {shown(value)}; it is a whole number, {bounds}")


def check_number(name: str, value: object, least: float, most: float, meaning: str = "") -> None:
    """Refuse what is no number from `least` to `most`; NaN is none."""
    right = isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
    if not right or not least <= value <= most:  # type: ignore[operator]
        raise RequestError(f"{name} is {shown(value)}; it goes from {least:g} to {most:g}{meaning}")


def check_text(name: str, value: object) -> None:
    """Refuse what is no text, and text that was made of bytes which are not UTF-8."""
    if not isinstance(value, str):
        raise RequestError(f"{name} is {shown(value)}; it is a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"{name} holds {value[error.start]!a}, which is not UTF-8; use a terminal or a file in UTF-8"
        ) from None


def check_type(name: str, value: object, kind: type[T] | tuple[type[T], ...], what: str) -> None:
    """Refuse what is of another type; `what` says which is right."""
    if not isinstance(value, kind):
        raise RequestError(f"{name} is {shown(value)}; it is {what}")


def check_path(name: str, value: object) -> None:
    """Refuse what names no file or folder."""
    if not isinstance(value, str | os.PathLike) or not value:
        raise RequestError(f"{name} is {shown(value)}; it is a name or a path")


def as_image_list(images: Any) -> Sequence[Any]:
    """Several pictures, or one by itself, each of a kind that can be read."""
    several = images if isinstance(images, list | tuple) else [images]
    for number, image in enumerate(several, start=1):
        check_image(image, f"picture {number}")
    return several


def check_image(image: object, name: str = "picture") -> None:
    """Refuse what can be no picture: neither a path nor bytes, nor a file, nor an image or an array."""
    if isinstance(image, TextIOBase):
        raise RequestError(f"{name} is a file of text; open it with mode 'rb'")
    known = isinstance(image, str | os.PathLike | bytes | bytearray | Image.Image)
    if not known and not hasattr(image, "read") and not hasattr(image, "__array__"):
        raise RequestError(f"{name} is {shown(image)}; it is a path, bytes, a binary file or a PIL.Image")
