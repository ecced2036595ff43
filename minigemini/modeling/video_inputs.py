"""Turns videos into images in a prompt: each frame is an image, and its time stands before it as text.

The expansion comes first, and everything after it sees images alone, so that a video is exactly its frames as images.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..images.decoders import is_frames, open_video
from ..images.video import Video, VideoSampling

VIDEO_TOKEN = "<video>"
"""Placeholder of a video in a prompt. It never reaches the tokenizer, which need not know it."""
_SOURCE_KEYS = ("video", "path", "url")
"""Keys of a content part that may hold its video."""

Replacement = dict[str, Any]
"""A replaced span of a text, as `ProcessorMixin.get_text_with_replacements` returns it."""


def open_videos(videos: Any, sampling: VideoSampling) -> list[Video]:
    """Open a video, or all videos in nested lists, in order.

    Raises:
        ImageError: A video cannot be read.
    """
    if isinstance(videos, list | tuple) and not is_frames(videos):
        return [opened for video in videos for opened in open_videos(video, sampling)]
    return [open_video(videos, sampling)]


def video_in(part: Any) -> Any:
    """The video that a content part holds; None if it is a placeholder, or no video part."""
    if not is_video_part(part):
        return None
    if part["type"] == "video_url":  # the form of OpenAI-compatible servers
        video_url: Any = part.get("video_url")
        return video_url.get("url") if isinstance(video_url, Mapping) else video_url
    return next((part[key] for key in _SOURCE_KEYS if part.get(key) is not None), None)


def is_video_part(part: Any) -> bool:
    """Whether a content part is a video."""
    return isinstance(part, Mapping) and part.get("type") in ("video", "video_url")


def has_video(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a conversation has a video part."""
    return any(is_video_part(part) for message in messages for part in _parts(message))


def videos_in(conversations: Sequence[Sequence[Mapping[str, Any]]]) -> list[Any]:
    """The videos that conversations hold, in order."""
    parts = (part for messages in conversations for message in messages for part in _parts(message))
    return [video for part in parts if (video := video_in(part)) is not None]


def with_placeholders(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Copy messages with a text part `<video>` for each video, after the images of its turn and before its text.

    Chat templates then need not know videos, so all formats have them, those of existing checkpoints too.
    """
    return [{**message, "content": _placeholders(message.get("content"))} for message in messages]


def _placeholders(content: Any) -> Any:
    if not isinstance(content, list | tuple) or not any(map(is_video_part, content)):
        return content
    videos = [{"type": "text", "text": VIDEO_TOKEN} for part in content if is_video_part(part)]
    rest = [part for part in content if not is_video_part(part)]
    images = [part for part in rest if isinstance(part, Mapping) and part.get("type") in ("image", "image_url")]
    return [*images, *videos, *(part for part in rest if not any(part is image for image in images))]


def _parts(message: Mapping[str, Any]) -> Sequence[Any]:
    content = message.get("content")
    return content if isinstance(content, list | tuple) else ()


class VideoExpansion:
    """Prompts whose videos are replaced by their frames.

    Args:
        texts: Prompts with one placeholder per image and per video.
        images: The images, in the order of the prompts.
        videos: The videos, in the order of the prompts.
        image_token: Placeholder of an image.
        pooling: Side of the windows over which the tokens of a frame are averaged.

    Attributes:
        texts: The prompts, with one image placeholder per frame, after its time.
        images: Images and frames, in the order of the prompts.
        pooling: The factor of each of these images; 1 for those that are no frames.

    Raises:
        ValueError: There is not one image or video per placeholder.
    """

    def __init__(
        self, texts: Sequence[str], images: Sequence[Any], videos: Sequence[Video], image_token: str, pooling: int
    ) -> None:
        self._pattern = re.compile(f"{re.escape(image_token)}|{re.escape(VIDEO_TOKEN)}")
        for token, kind, given in ((image_token, "images", images), (VIDEO_TOKEN, "videos", videos)):
            if (placeholders := sum(text.count(token) for text in texts)) != len(given):
                raise ValueError(
                    f"the text has {placeholders} placeholders {token}, but there are {len(given)} {kind}: pass one "
                    "per placeholder, in the order of the text."
                )
        self._image_token, self._frame_pooling = image_token, pooling
        self._left = iter(images), iter(videos)
        self.texts: list[str] = []
        self.images: list[Any] = []
        self.pooling: list[int] = []
        self._replaced: list[list[Replacement]] = []
        for text in texts:
            self._expand(text)

    def _expand(self, text: str) -> None:
        images, videos = self._left
        pieces, replaced, last, length = [], [], 0, 0
        for found in self._pattern.finditer(text):
            if found.group() == self._image_token:
                self.images.append(next(images))
                self.pooling.append(1)
                continue
            video = next(videos)
            self.images += video.frames
            self.pooling += [self._frame_pooling] * len(video.frames)
            # `Frame from 0:03:` is how SmolVLM2 introduces a frame; `Image 3:` is how templates introduce an image.
            frames = "".join(f"Frame from {time}:{self._image_token}\n" for time in video.timestamps)
            pieces += [text[last : found.start()], frames]
            length += found.start() - last
            replaced.append(
                {
                    "type": "video",
                    "span": found.span(),
                    "new_span": (length, length + len(frames)),
                    "text": VIDEO_TOKEN,
                    "replacement": frames,
                }
            )
            last, length = found.end(), length + len(frames)
        self.texts.append("".join([*pieces, text[last:]]))
        self._replaced.append(replaced)

    def offsets(self, later: Sequence[Sequence[Replacement]]) -> list[list[Replacement]]:
        """Join the replacements of videos with later ones in the expanded texts: from the original to the final texts.

        Args:
            later: The replacements that followed, for each text. Those within a video's frames become part of it.
        """
        rows = zip(self._replaced, later, strict=True)
        return [sorted(_joined(first, list(second)), key=lambda one: one["span"]) for first, second in rows]


def _joined(first: Sequence[Replacement], second: Sequence[Replacement]) -> Iterator[Replacement]:
    for video in first:
        start, end = video["new_span"]
        yield {**video, "new_span": (start + _growth(second, start), end + _growth(second, end))}
    for other in second:
        start, end = other["span"]
        if not any(video["new_span"][0] <= start < video["new_span"][1] for video in first):
            before = sum(_gain(video) for video in first if video["new_span"][1] <= start)
            yield {**other, "span": (start - before, end - before)}


def _growth(replacements: Sequence[Replacement], position: int) -> int:
    """Characters that replacements before a position add."""
    return sum(_gain(one) for one in replacements if one["span"][1] <= position)


def _gain(replacement: Replacement) -> int:
    (start, end), (new_start, new_end) = replacement["span"], replacement["new_span"]
    return int((new_end - new_start) - (end - start))
