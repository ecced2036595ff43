"""Videos as frames with their times: which frames are taken, how their times are written, and limits on files.

A video is to the model what its frames are as images. `decoders.open_video` reads one from a file.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import PurePath
from typing import Any

from PIL import Image

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv")
"""File names that count as video where images are accepted too. GIF and WEBP do not: they are images there."""
MAX_FRAMES, MAX_POOLING = 1024, 64
MAX_FRAME_SIDE_PX = 1536
"""Larger frames are scaled down to this, the largest high-resolution size of the published models."""
_TOLERANCE_SECONDS = 1e-6


@dataclass(frozen=True)
class VideoSampling:
    """Which frames of a video the model sees, and in how many visual tokens.

    The defaults suit models that were not trained on video: a frame per second is what Qwen2-VL and Gemini start from,
    and LLaVA-NeXT-Video pools 2 x 2 tokens.

    Attributes:
        frames_per_second: Frames taken per second of video.
        max_frames: Most frames; of a longer video they are spread evenly.
        pooling: Side p of the windows of p x p visual tokens of a frame that are averaged; 1 leaves all of them.

    Raises:
        ValueError: A value is out of range.
    """

    frames_per_second: float = 1.0
    max_frames: int = 16
    pooling: int = 2

    def __post_init__(self) -> None:
        rate = self.frames_per_second
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not isfinite(rate) or not 0 < rate <= 1000:
            raise ValueError(f"frames_per_second is {rate!r}; set it above 0, at most 1000")
        for name, most in (("max_frames", MAX_FRAMES), ("pooling", MAX_POOLING)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise ValueError(f"{name} is {value!r}; set it to a whole number from 1 to {most}")

    def choose(self, times: Sequence[float], duration: float) -> list[int]:
        """Choose frames: the one that is shown at the start of each of at most `max_frames` equal intervals.

        Args:
            times: Seconds at which each frame appears, ascending from 0.
            duration: Seconds that the video lasts.

        Returns:
            Indices, ascending; a frame that is shown for long is taken once.
        """
        interval = max(1 / self.frames_per_second, duration / self.max_frames)
        count = min(self.max_frames, max(1, ceil(duration / interval - _TOLERANCE_SECONDS)))
        shown = (bisect_right(times, n * interval + _TOLERANCE_SECONDS) - 1 for n in range(count))
        return list(dict.fromkeys(max(0, index) for index in shown))


@dataclass(frozen=True)
class VideoLimits:
    """Limits on a video file, checked before and while it is decoded.

    Attributes:
        max_bytes: Size of the file.
        max_seconds: Duration.
        max_pixels, max_side: Of a frame in the file; the defaults are those of 4K.
        max_total_pixels: All frames taken together, after scaling down.
        decode_seconds: CPU time for the whole video.
    """

    max_bytes: int = 256 * 2**20
    max_seconds: float = 3600.0
    max_pixels: int = 9_000_000
    max_side: int = 4096
    max_total_pixels: int = 256_000_000
    decode_seconds: float = 60.0


VIDEO_LIMITS = VideoLimits()


@dataclass(frozen=True, eq=False)
class Video:
    """Frames of a video.

    Attributes:
        frames: RGB images in order.
        times: Seconds from the start of the video at which each appears, ascending.

    Raises:
        ValueError: There are no frames, or not as many as times.
    """

    frames: tuple[Image.Image, ...]
    times: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.frames or len(self.frames) != len(self.times):
            raise ValueError(f"{len(self.frames)} frames and {len(self.times)} times; give one time per frame")

    @property
    def timestamps(self) -> list[str]:
        """Times as minutes and seconds, e.g. `0:03`, with decimals only where frames would share one.

        SmolVLM2 and Gemini write minutes and seconds too; Qwen3-VL writes seconds with one decimal.
        """
        labels: list[str] = []
        for decimals in range(4):
            labels = [_timestamp(time, decimals) for time in self.times]
            if len(set(labels)) == len(labels):
                break
        return labels


def _timestamp(seconds: float, decimals: int) -> str:
    minutes, rest = divmod(round(seconds, decimals), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:0{2 + (decimals > 0) * (1 + decimals)}.{decimals}f}"
    return f"{hours}:{minutes:02}:{text}" if hours else f"{minutes}:{text}"


def is_video_path(source: Any) -> bool:
    """Whether a path names a video by its suffix."""
    return PurePath(str(source)).suffix.lower() in VIDEO_SUFFIXES
