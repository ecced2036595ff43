"""Decodes the frames of a video that a model is shown. Runs in the processes of `decoders` alone.

FFmpeg is called through PyAV with a forced container format: probing would accept playlists, which name other files and
URLs. Packets are read twice. The first pass decodes nothing; it finds the time of each frame and the key frames, and
from these the frames to take, whatever the header claims. The second one decodes from the last key frame before each.
Animated GIF and WEBP are read by Pillow.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import Any

from PIL import Image

from .safe_images import (
    _DECODING_ERRORS,
    _READERS,
    ImageError,
    ImageLimits,
    ImageProblem,
    _as_displayed,
    _check_shape,
    format_of,
)
from .video import MAX_FRAME_SIDE_PX, VideoLimits, VideoSampling

CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg"})
"""Codecs that phones, browsers and cameras write; FFmpeg has hundreds, most of them seldom audited."""
FORMATS = "MP4, MOV, WEBM, MKV, GIF or WEBP"
_ANIMATIONS = ("GIF", "WEBP")
_MATROSKA = b"\x1aE\xdf\xa3"
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_SHORTEST_ANIMATION_MS, _DEFAULT_ANIMATION_MS = 11, 100
"""Browsers show frames of at most 10 ms, or without a duration, for 100 ms."""
_MAX_PIXEL_ASPECT = 4
"""Width / height of a pixel; DVDs have at most 1.5. Beyond, the header is damaged."""

Frame = tuple[float, Image.Image]
"""Seconds from the start of the video, and an RGB image."""


def container_of(head: bytes) -> str | None:
    """Detect the container by the first 16 bytes: FFmpeg's name of its demuxer, Pillow's of an animation, or None."""
    if head.startswith(_MATROSKA):
        return "matroska"
    if head[4:8] in _MOV_BOXES:
        return "mov"
    return format_of(head, ImageLimits(formats=_ANIMATIONS))


def decode_video(data: bytes, sampling: VideoSampling, limits: VideoLimits, name: str) -> Iterator[Frame]:
    """Decode the frames that `sampling` chooses, in order.

    Raises:
        ImageError: The file is not a video, is corrupt, or exceeds a limit.
    """
    container = container_of(data[:16])
    if container is None:
        raise ImageError(f"{name}: not a video in {FORMATS}; convert it to MP4", ImageProblem.NO_IMAGE)
    frames = _animation if container in _ANIMATIONS else _stream
    pixels = 0
    for time, image in frames(data, container, sampling, limits, name):
        if max(image.size) > MAX_FRAME_SIDE_PX:
            image.thumbnail((MAX_FRAME_SIDE_PX, MAX_FRAME_SIDE_PX))
        pixels += image.width * image.height
        if pixels > limits.max_total_pixels:
            raise ImageError(
                f"{name}: frames have more than {limits.max_total_pixels:,} pixels in total; take fewer frames, or "
                "scale the video down",
                ImageProblem.TOO_LARGE,
            )
        yield time, image


def _animation(data: bytes, kind: str, sampling: VideoSampling, limits: VideoLimits, name: str) -> Iterator[Frame]:
    """Decode an animated GIF or WEBP, or a still one as a single frame."""
    try:
        image: Any = _READERS[kind](BytesIO(data), "")
        _check_frame(image.size, limits, name)
        times, end = [], 0.0
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()  # a WEBP knows durations only of what it has decoded
            times.append(end)
            shown_ms = image.info.get("duration", 0)
            end += (shown_ms if shown_ms >= _SHORTEST_ANIMATION_MS else _DEFAULT_ANIMATION_MS) / 1000
        _check_duration(end, limits, name)
        for number in sampling.choose(times, end):
            image.seek(number)
            yield times[number], _as_displayed(image.copy(), name)
    except ImageError:
        raise
    except (*_DECODING_ERRORS, Image.DecompressionBombError) as error:
        raise _corrupt(name, error) from None


@dataclass(frozen=True)
class _Index:
    """Times of a video stream, in units of its time base.

    Attributes:
        shown: Presentation time of each frame, ascending.
        keys: Presentation and decoding time of each key frame, ascending.
        end: When the last frame ends.
    """

    shown: list[int]
    keys: list[tuple[int, int]]
    end: int


def _pyav() -> Any:
    """Import PyAV by name: an import statement would make it a requirement of code that is loaded from a hub."""
    return import_module("av")


def _stream(data: bytes, kind: str, sampling: VideoSampling, limits: VideoLimits, name: str) -> Iterator[Frame]:
    """Decode the first video stream of a file."""
    av = _pyav()

    try:
        with _open(data, kind) as container:
            index = _index(container, _video_stream(container, limits, name))
        if not index.shown:
            raise ImageError(f"{name}: has no frames; save it again", ImageProblem.BROKEN)
        with _open(data, kind) as container:
            stream = _video_stream(container, limits, name)
            unit, start = float(stream.time_base), index.shown[0]
            duration = (index.end - start) * unit
            _check_duration(duration, limits, name)
            chosen = sampling.choose([(time - start) * unit for time in index.shown], duration)
            for frame in _frames_at(container, stream, [index.shown[n] for n in chosen], index):
                _check_frame((frame.width, frame.height), limits, name)
                yield (frame.pts - start) * unit, _as_played(frame, stream.sample_aspect_ratio)
    except ImageError:
        raise
    except (av.FFmpegError, StopIteration, ValueError, OverflowError, ZeroDivisionError, TypeError) as error:
        raise _corrupt(name, error) from None


def _open(data: bytes, kind: str) -> Any:
    av = _pyav()

    return av.open(BytesIO(data), format=kind, options={"protocol_whitelist": "none"}, metadata_errors="replace")


def _video_stream(container: Any, limits: VideoLimits, name: str) -> Any:
    """The first video stream, ready to decode; a cover picture is none."""
    av = _pyav()

    cover = av.stream.Disposition.attached_pic
    stream = next((stream for stream in container.streams.video if not stream.disposition & cover), None)
    if stream is None:
        raise ImageError(f"{name}: has no video stream; pass a file that has one", ImageProblem.NO_IMAGE)
    codec = stream.codec_context
    known = None if codec is None else codec.codec.canonical_name
    if known not in CODECS:
        raise ImageError(
            f"{name}: codec {known or 'unknown'} is not supported; convert it to H.264", ImageProblem.NO_IMAGE
        )
    _check_frame((codec.width, codec.height), limits, name)
    codec.thread_count = 1  # CPU time is limited; threads would only use more memory
    codec.options = {"max_pixels": str(limits.max_pixels)}  # the stream may claim another size than the header
    return stream


def _index(container: Any, stream: Any) -> _Index:
    shown, keys, end = [], [], 0
    for packet in container.demux(stream):
        if packet.pts is None or packet.is_discard:
            continue
        shown.append(packet.pts)
        end = max(end, packet.pts + (packet.duration or 0))
        if packet.is_keyframe:
            keys.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
    shown = sorted(set(shown))
    if len(shown) > 1 and end <= shown[-1]:  # WEBM has no durations: the last frame lasts as long as the one before
        end = 2 * shown[-1] - shown[-2]
    return _Index(shown, sorted(keys), end)


def _frames_at(container: Any, stream: Any, wanted: list[int], index: _Index) -> Iterator[Any]:
    """Decode the frames at the wanted times, or the first after each.

    Raises:
        StopIteration: The file ends before.
    """
    frames = container.decode(stream)
    decoded = index.keys[0][0] if index.keys else index.shown[0]
    for time in wanted:
        before = bisect_right(index.keys, (time, index.end)) - 1
        if before > 0 and index.keys[before][0] > decoded:
            container.seek(index.keys[before][1], stream=stream)
            frames = container.decode(stream)
        frame = next((frame for frame in frames if frame.pts is not None and frame.pts >= time), None)
        if frame is None:
            raise ValueError(f"no frame at {float((time - index.shown[0]) * stream.time_base):.2f} s")
        decoded = frame.pts
        yield frame


def _as_played(frame: Any, pixel_aspect: Any) -> Image.Image:
    """Convert a frame to RGB as a player shows it: with square pixels, and upright."""
    image: Image.Image = frame.to_image()
    if pixel_aspect and pixel_aspect != 1 and 1 / _MAX_PIXEL_ASPECT <= pixel_aspect <= _MAX_PIXEL_ASPECT:
        image = image.resize((max(1, round(image.width * pixel_aspect)), image.height))
    turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
    turn = turns.get(round(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)


def _check_frame(size: tuple[int, int], limits: VideoLimits, name: str) -> None:
    _check_shape(size, ImageLimits(max_pixels=limits.max_pixels, max_side=limits.max_side), name)


def _check_duration(seconds: float, limits: VideoLimits, name: str) -> None:
    if not 0 <= seconds <= limits.max_seconds:
        raise ImageError(
            f"{name}: lasts {seconds:,.0f} s, but may last at most {limits.max_seconds:,.0f} s; cut the part that you "
            "need",
            ImageProblem.TOO_LARGE,
        )


def _corrupt(name: str, error: Exception) -> ImageError:
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:100] or type(error).__name__
    return ImageError(f"{name}: corrupt or truncated video ({reason}); copy or save it again", ImageProblem.BROKEN)
