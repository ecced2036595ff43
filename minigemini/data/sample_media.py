"""Puts the images and videos of a sample into its messages."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .schema import ImageInput, Sample, VideoInput


def messages_with_media(
    sample: Sample,
    messages: Iterable[Mapping[str, Any]],
    open_image: Callable[[ImageInput], Any],
    open_video: Callable[[VideoInput], Any],
) -> list[dict[str, Any]]:
    """Copy the first messages of a sample, with each image and video opened.

    Args:
        sample: the sample.
        messages: its messages from the first one on.
        open_image, open_video: open one image and one video.
    """
    media: dict[str, tuple[Iterator[Any], Callable[[Any], Any]]] = {
        "image": (iter(sample.images), open_image),
        "video": (iter(sample.videos), open_video),
    }

    def opened(part: Mapping[str, Any]) -> dict[str, Any]:
        if part["type"] not in media:
            return dict(part)
        files, opener = media[part["type"]]
        return {"type": part["type"], part["type"]: opener(next(files))}

    return [{"role": message["role"], "content": [*map(opened, message["content"])]} for message in messages]
