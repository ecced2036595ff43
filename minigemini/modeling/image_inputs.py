"""Opens the images in a processor's arguments with `safe_images.open_image`.

Transformers' own loading differs between types of sources and downloads URLs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..images.arrays import is_array
from ..images.data_uris import decode_base64, is_data_uri
from ..images.safe_images import ImageError, ImageProblem, open_image

_IMAGE_KEYS = ("image", "path", "url", "base64")
"""Keys of a content part that may hold its image."""


def open_images(images: Any, *, leave_arrays: bool = False) -> Any:
    """Open an image, or all images in nested lists.

    Args:
        images: Sources as `open_image` accepts them, or None. Arrays of four dimensions hold several images.
        leave_arrays: Return arrays and tensors unchanged.

    Raises:
        ImageError: An image cannot be read.
    """
    if images is None:
        return None
    if isinstance(images, list | tuple):
        return [open_images(image, leave_arrays=leave_arrays) for image in images]
    if is_array(images):
        if leave_arrays:
            return images
        if images.ndim == 4:
            return [open_image(image) for image in images]
    return open_image(images)


def with_opened_images(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Copy messages, with the images in them opened.

    Raises:
        ImageError: An image cannot be read.
    """
    return [{**message, "content": _open_content(message.get("content"))} for message in messages]


def _open_content(content: Any) -> Any:
    return [_open_part(part) for part in content] if isinstance(content, list | tuple) else content


def _open_part(part: Any) -> Any:
    if not isinstance(part, Mapping) or part.get("type") not in ("image", "image_url"):
        return part
    if part["type"] == "image_url":  # the form of OpenAI's API
        image_url: Any = part.get("image_url")
        source: Any = image_url.get("url") if isinstance(image_url, Mapping) else image_url
        return {"type": "image", "image": open_image(source)}
    key = next((key for key in _IMAGE_KEYS if part.get(key) is not None), None)
    if key is None:  # a placeholder, whose image is passed separately
        return part
    source = part[key]
    if key == "base64" and isinstance(source, str) and not is_data_uri(source):
        try:
            source = decode_base64(source)
        except ValueError as error:
            raise ImageError(f"image: {error}", ImageProblem.NO_IMAGE) from None
    return {"type": "image", "image": open_image(source)}
