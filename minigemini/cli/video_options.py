"""Videos and how they are sampled: options shared by the verbs that ask about them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import fail

if TYPE_CHECKING:
    from ..inference import Conversation


@dataclass(frozen=True)
class VideoOptions:
    """Videos, and which of their frames the model sees; `VideoSampling` documents the options."""

    videos: Annotated[
        list[str] | None,
        typer.Option("--video", metavar="FILE", help="A video; needed for an animated GIF or WEBP. Repeatable."),
    ] = None
    frames_per_second: Annotated[
        float | None,
        typer.Option("--frames-per-second", help="Frames taken per second of video.  [default: the model's, or 1]"),
    ] = None
    max_frames: Annotated[
        int | None, typer.Option("--max-frames", help="Most frames of a video.  [default: the model's, or 16]")
    ] = None
    pooling: Annotated[
        int | None,
        typer.Option(
            "--pool", help="Average P x P visual tokens of each frame into one.  [default: the model's, or 2]"
        ),
    ] = None

    def split(self, files: list[str]) -> tuple[list[str], list[str]]:
        """Split files into images and videos by their suffix; those given by --video follow."""
        from ..images.video import is_video_path

        videos = [file for file in files if is_video_path(file)]
        return [file for file in files if not is_video_path(file)], [*videos, *(self.videos or [])]

    def check(self) -> None:
        """Fail before any model is loaded if a value is out of range."""
        from ..images.video import VideoSampling

        try:
            VideoSampling(**self._given())
        except ValueError as error:
            fail(str(error))

    def add_to(self, conversation: "Conversation", videos: list[str]) -> "Conversation":
        """Set the given options on the model's processor, and show videos with the first question.

        Raises:
            ImageError: A video cannot be read.
        """
        processor = conversation.engine.processor
        processor.video_sampling = replace(processor.video_sampling, **self._given())
        for video in videos:
            conversation.add_video(video)
        return conversation

    def _given(self) -> dict[str, Any]:
        values = {"frames_per_second": self.frames_per_second, "max_frames": self.max_frames, "pooling": self.pooling}
        return {name: value for name, value in values.items() if value is not None}
