"""Images in the arguments of Transformers' processors, opened by `safe_images.open_image` before they get there.

Transformers would open them in ways of its own, which differ by source, and would fetch addresses.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..images.arrays import is_array
from ..images.data_uris import decode_base64, is_data_uri
from ..images.safe_images import ImageError, ImageProblem, open_image

_KEYS = ("image", "path", "url", "base64")
"""Under which a part of a message may hold its image."""


def open_images(images: Any, *, leave_arrays: bool = False) -> Any:
    """Open one image, or all in nested lists.

    Args:
        images: Sources, see `open_image`; None stays None. Arrays with one dimension more hold several images.
        leave_arrays: Do not open arrays and tensors.

    Raises:
        ImageError: An image is not read.
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
    """Copy a conversation, each image in it opened.

    Raises:
        ImageError: An image is not read.
    """
    return [{**message, "content": _with_opened(message.get("content"))} for message in messages]


def _with_opened(content: Any) -> Any:
    return [_opened(part) for part in content] if isinstance(content, list | tuple) else content


def _opened(part: Any) -> Any:
    if not isinstance(part, Mapping) or part.get("type") not in ("image", "image_url"):
        return part
    if part["type"] == "image_url":  # as OpenAI's API has it
        address: Any = part.get("image_url")
        source: Any = address.get("url") if isinstance(address, Mapping) else address
        return {"type": "image", "image": open_image(source)}
    key = next((key for key in _KEYS if part.get(key) is not None), None)
    if key is None:  # a placeholder; its picture comes apart
        return part
    source = part[key]
    if key == "base64" and isinstance(source, str) and not is_data_uri(source):
        try:
            source = decode_base64(source)
        except ValueError as error:
            raise ImageError(f"picture: {error}", ImageProblem.NO_IMAGE) from None
    return {"type": "image", "image": open_image(source)}
