"""Strings read from pictures, in the questions about them: how the paper's 28K samples about documents were made."""

from collections.abc import Callable
from dataclasses import replace

from PIL.Image import Image

from ...data.schema import IMAGE_TAG, Sample
from ...images.decoders import open_isolated
from ...modeling.messages import with_requests

ReadStrings = Callable[[Image], list[str]]
"""From an RGB picture to the strings in it, in reading order."""

OCR_SOURCES = frozenset({"docvqa", "chartqa", "dvqa", "ai2d"})
"""Whose questions the paper gave the strings in their pictures."""


def with_strings(sample: Sample, read: ReadStrings) -> Sample:
    """Put the strings in a sample's pictures behind its first question, in the published form; answers stay.

    Args:
        sample: a conversation; one without a picture stays as it is.
        read: reads a picture.

    Raises:
        ImageError: A picture cannot be read.
    """
    strings = [string for image in sample.images for string in read(open_isolated(image))]
    # A picture may say what stands for a picture; whoever made it is nobody's guess.
    strings = [kept for string in strings if (kept := string.replace(IMAGE_TAG, "").strip())]
    if not strings:
        return sample
    users = sum(message["role"] == "user" for message in sample.messages)
    return replace(sample, messages=tuple(with_requests(sample.messages, False, [strings] + [[]] * (users - 1))))
