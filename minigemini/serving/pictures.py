"""From a data URI to a picture, within the limits; nothing is decoded before they are checked."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from ..model.pictures import PictureError, open_picture
from .errors import ApiError
from .settings import ServerSettings

_DATA_URI = re.compile(r"data:image/(?:jpeg|jpg|png|webp|gif);base64,", re.IGNORECASE)


def bytes_of(data_uri: str, settings: ServerSettings, name: str) -> bytes:
    """The bytes in a data URI.

    Raises:
        ApiError: 400: no data URI of a picture, or too large.
    """
    head = _DATA_URI.match(data_uri, 0, 40)
    if head is None:
        raise ApiError(
            400, f"{name}: not a picture: send data:image/png;base64,… (or jpeg, webp, gif)", "invalid_image", name
        )
    if (len(data_uri) - head.end()) * 3 // 4 > settings.pictures.max_bytes + 3:
        raise ApiError(
            400, f"{name}: more than {settings.pictures.max_bytes:,} bytes; make it smaller", "invalid_image", name
        )
    try:
        return base64.b64decode(data_uri[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, f"{name}: not base64; encode the whole file", "invalid_image", name) from None


def uri_of(png: bytes) -> str:
    """The data URI of a PNG file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def open_all(files: Sequence[bytes], settings: ServerSettings) -> list[Image.Image]:
    """Decode the pictures of one request; together they keep to a limit too. Blocking.

    Raises:
        ApiError: 400: one is not read.
    """
    opened: list[Image.Image] = []
    left = settings.max_total_pixels
    for number, data in enumerate(files, start=1):
        limits = replace(settings.pictures, max_pixels=min(settings.pictures.max_pixels, left))
        try:
            opened.append(open_picture(data, limits, name=f"picture {number}"))
        except PictureError as error:
            raise ApiError(400, str(error), "invalid_image", "messages") from None
        left -= opened[-1].width * opened[-1].height
    return opened
