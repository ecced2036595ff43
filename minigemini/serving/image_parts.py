"""From a data URI to a picture, within the limits; nothing is decoded before they are checked."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from PIL import Image

from ..images.data_uris import base64_of, decode_base64
from ..images.decoders import Stop, open_isolated
from ..images.safe_images import ImageError
from .api_errors import ApiError
from .server_settings import ServerSettings

T = TypeVar("T")


def bytes_of(data_uri: str, settings: ServerSettings, name: str) -> bytes:
    """The bytes in a data URI.

    Raises:
        ApiError: 400: no data URI of a picture, or too large.
    """
    most = settings.images.max_bytes
    try:
        data = decode_base64(base64_of(data_uri))
    except ValueError as error:
        raise ApiError(400, f"{name}: {error}", "invalid_image", name) from None
    if len(data) > most:
        raise ApiError(400, f"{name}: more than {most:,} bytes; make it smaller", "invalid_image", name)
    return data


def uri_of(png: bytes) -> str:
    """The data URI of a PNG file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def open_all(files: Sequence[bytes], settings: ServerSettings, stop: Stop | None = None) -> list[Image.Image]:
    """Decode the pictures of one request; together they keep to a limit too. Blocking.

    Args:
        files: encoded pictures.
        settings: the limits.
        stop: ends the decoder of the one at hand.

    Raises:
        ApiError: 400: one is not read.
        DecodingStoppedError: `stop` was set.
    """
    opened: list[Image.Image] = []
    left = settings.max_total_pixels
    for number, data in enumerate(files, start=1):
        limits = replace(settings.images, max_pixels=min(settings.images.max_pixels, left))
        try:
            opened.append(open_isolated(data, limits, name=f"picture {number}", stop=stop))
        except ImageError as error:
            raise ApiError(400, str(error), "invalid_image", "messages") from None
        left -= opened[-1].width * opened[-1].height
    return opened


async def in_thread(task: Callable[[Stop], T]) -> T:
    """Do blocking work in a thread. When nobody waits for it any more, what it decodes ends with it."""
    stop = Stop()
    running = asyncio.ensure_future(asyncio.to_thread(task, stop))
    try:
        return await asyncio.shield(running)
    finally:
        if not running.done():
            stop.set()
            await asyncio.wait([running])
            running.exception()  # seen, or asyncio complains that nobody has looked
