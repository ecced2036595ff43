"""Decodes untrusted images and videos in worker processes that can be killed, on timeout or when a client disconnects.

`open_isolated` has the interface of `safe_images.open_image`. Videos are always decoded here, with `open_video`: a
damaged one must not end the process that opens it. Checks on the header bound the cost of decoding, but decoders are C
code and their input may be malicious. Here they run without access to this process's memory and secrets, under limits
on memory and CPU time. Workers are reused, and replaced when they exit.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from PIL import Image

from .decoder_program import READY, bands, read_all, read_message, write_all, write_message
from .safe_images import (
    LIMITS,
    ImageError,
    ImageLimits,
    ImageProblem,
    ImageSource,
    display_name,
    format_of,
    is_encoded,
    open_image,
    read_encoded,
)
from .video import VIDEO_LIMITS, Video, VideoLimits, VideoSampling

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "decoder_program.py")
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Environment variables that workers inherit; others may hold secrets."""
_HAS_CPU_TIMER = hasattr(signal, "setitimer")
_WALL_SECONDS = 60.0
"""Wall-clock limit per image in addition to the CPU limit: a busy machine may be slow, but a decoder must not hang."""
_POLL_SECONDS = 0.05
_EXIT_SECONDS = 1.0
"""How long a worker may take to exit after it closed its pipe."""
_KILLED = -9
"""Return code after SIGKILL, which decoding itself never raises."""
_MAX_PROCESSES = 4


class DecodingStoppedError(Exception):
    """Decoding was cancelled by `Stop`."""


class Stop:
    """Cancels decoding from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Decoder | None = None
        self.is_set = False

    def set(self) -> None:
        """Kill the running decoder; it and later decoding with this object raise `DecodingStoppedError`."""
        with self._lock:
            self.is_set = True
            if self._running is not None:
                self._running.process.kill()

    @contextmanager
    def can_kill(self, decoder: "_Decoder") -> Iterator[None]:
        """Let `set` kill this decoder while the block runs."""
        with self._lock:
            if self.is_set:
                raise DecodingStoppedError
            self._running = decoder
        try:
            yield
        finally:
            with self._lock:
                self._running = None


def open_isolated(
    source: ImageSource,
    limits: ImageLimits = LIMITS,
    name: str | None = None,
    *,
    at_least_px: int | None = None,
    shorter: bool = False,
    stop: Stop | None = None,
) -> Image.Image:
    """Open an image like `open_image`, but decode it in another process. Blocks until it is done.

    Args:
        source: As in `open_image`. Pixels need no decoder and are handled in this process.
        limits: As in `open_image`, and so are `name`, `at_least_px` and `shorter`.
        stop: Cancels decoding.

    Raises:
        ImageError: As in `open_image`, or decoding took too much time or memory.
        DecodingStoppedError: `stop` was set.
    """
    if not is_encoded(source):
        return open_image(source, limits, name)
    name = display_name(source, name)
    request = {"limits": asdict(limits), "name": name, "at_least_px": at_least_px, "shorter": shorter}
    data = read_encoded(source, limits.max_bytes, name)
    images = _POOL.decode(data, request, stop or Stop())
    return images[0][1]


def open_video(
    source: Any,
    sampling: VideoSampling | None = None,
    limits: VideoLimits = VIDEO_LIMITS,
    name: str | None = None,
    *,
    stop: Stop | None = None,
) -> Video:
    """Decode the frames of a video that `sampling` chooses, in another process. Blocks until it is done.

    MP4, MOV, WEBM and MKV need PyAV (`pip install 'minigemini[video]'`); animated GIF and WEBP do not.

    Args:
        source: A path, data URI, encoded bytes or a binary file; a `Video` is returned as it is. All frames are taken
            of a list of images and of an array of four dimensions, `sampling.frames_per_second` apart.
        sampling: Which frames; by default the defaults of `VideoSampling`.
        limits: Limits on the file and on decoding.
        name: Name of the video in error messages; by default the path or file name.
        stop: Cancels decoding.

    Raises:
        ImageError: The file does not exist, is not a video, is corrupt or exceeds a limit, or PyAV is not installed.
        DecodingStoppedError: `stop` was set.
    """
    if isinstance(source, Video):
        return source
    if is_frames(source):
        rate = (sampling or VideoSampling()).frames_per_second
        frames = tuple(open_image(frame, name=f"frame {number}") for number, frame in enumerate(source, start=1))
        return Video(frames, tuple(number / rate for number in range(len(frames))))
    if not is_encoded(source):
        raise ImageError(
            f"video: {type(source).__name__} is not a video; pass a path, bytes, a file, or frames as images",
            ImageProblem.NO_IMAGE,
        )
    name = "video" if name is None and isinstance(source, bytes) else display_name(source, name)
    data = read_encoded(source, limits.max_bytes, name, "video")
    if find_spec("av") is None and format_of(data[:16]) is None:
        raise ImageError(f"{name}: reading video needs PyAV: pip install 'minigemini[video]'", ImageProblem.UNREADABLE)
    request = {"limits": asdict(limits), "name": name, "sampling": asdict(sampling or VideoSampling())}
    decoded = _POOL.decode(data, request, stop or Stop())
    return Video(tuple(image for _, image in decoded), tuple(time for time, _ in decoded))


def is_frames(source: Any) -> bool:
    """Whether a video is given by its frames: a list of images, or an array of four dimensions."""
    if isinstance(source, list | tuple):
        return bool(source) and all(isinstance(frame, Image.Image) for frame in source)
    from .arrays import is_array  # needs numpy

    return is_array(source) and source.ndim == 4


_Images = list[tuple[float, Image.Image]]
"""Decoded images, each with its time in seconds; an image that is not a frame has time 0."""


class _WorkerDiedError(Exception):
    """The worker exited, or sent an invalid response."""


class _Decoder:
    """A worker process that decodes one file at a time."""

    def __init__(self) -> None:
        process: Any = subprocess.Popen(
            [sys.executable, "-P", _PROGRAM],  # -P: do not import from its folder
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        self.process, self._requests, self._answers = process, process.stdin, process.stdout
        self.timed_out = False
        if bytes(read_all(self._answers, len(READY)) or b"") != READY:
            self.end()
            raise OSError(f"the image decoder failed to start: {_PROGRAM} exited with {self.process.returncode}")

    def decode(self, data: bytes, request: dict[str, Any]) -> _Images:
        """Decode an image, or the frames of a video.

        Raises:
            ImageError: The image cannot be read; the worker is ready for the next one.
            _WorkerDiedError: The worker cannot be used any more.
        """
        seconds = request["limits"]["decode_seconds"]
        clock = threading.Timer(max(2 * seconds, _WALL_SECONDS) if _HAS_CPU_TIMER else seconds, self._time_out)
        clock.daemon = True
        clock.start()
        try:
            write_message(self._requests, request, len(data))
            write_all(self._requests, data)
            if images := list(self._read_images(request)):
                return images
            raise ValueError("no images")
        except ImageError:
            raise
        except (OSError, ValueError, KeyError, TypeError):  # the pipe is broken, or the response is invalid
            raise _WorkerDiedError from None
        finally:
            clock.cancel()
            clock.join()  # so that it cannot kill the worker later

    def _read_images(self, request: dict[str, Any]) -> Iterator[tuple[float, Image.Image]]:
        """Read an image, or the frames of a video up to the message that ends it."""
        is_video, limits = "sampling" in request, request["limits"]
        pixels_left = limits["max_total_pixels" if is_video else "max_pixels"]
        while True:
            message = read_message(self._answers)
            if message is None:
                raise _WorkerDiedError
            answer, size = message
            if "error" in answer:
                raise ImageError(answer["error"], ImageProblem(answer["problem"]))
            if "end" in answer:
                return
            width, height = answer["size"]
            pixels_left -= width * height
            if size != 3 * width * height or size <= 0 or pixels_left < 0:
                raise _WorkerDiedError
            yield float(answer.get("time", 0)), self._read_pixels(width, height)
            if not is_video:
                return

    def _read_pixels(self, width: int, height: int) -> Image.Image:
        image = Image.new("RGB", (width, height))
        for top, bottom in bands(width, height):
            pixels = read_all(self._answers, 3 * width * (bottom - top))
            if pixels is None:
                raise _WorkerDiedError
            image.paste(Image.frombytes("RGB", (width, bottom - top), bytes(pixels)), (0, top))
        return image

    def was_killed_from_outside(self) -> bool:
        """Whether something other than the image ended the worker: the system when short of memory, or a person."""
        try:
            return self.process.wait(_EXIT_SECONDS) == _KILLED and not self.timed_out
        except subprocess.TimeoutExpired:
            return False

    def failure_reason(self, request: dict[str, Any]) -> tuple[str, ImageProblem]:
        """Reap the worker, and return the error message for the image that killed it."""
        self.end()
        if self.timed_out or (_HAS_CPU_TIMER and self.process.returncode == -signal.SIGPROF):
            seconds = request["limits"]["decode_seconds"]
            return f"decoding takes more than {seconds:g} s; scale it down or save it again", ImageProblem.TOO_LARGE
        return "decoder ran out of memory or crashed; save it again", ImageProblem.BROKEN

    def end(self) -> None:
        """Kill the worker."""
        self.process.kill()
        self.process.wait()
        self.close_pipes()

    def close_pipes(self) -> None:
        """Close this process's ends of the pipes."""
        self._requests.close()
        self._answers.close()

    def _time_out(self) -> None:
        self.timed_out = True
        self.process.kill()


class _Pool:
    """A pool of decoders with a maximum size."""

    def __init__(self, processes: int) -> None:
        self._slots = threading.BoundedSemaphore(processes)
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()

    def decode(self, data: bytes, request: dict[str, Any], stop: Stop) -> _Images:
        """Wait for a free worker and decode one file. Raises like `open_isolated`."""
        while not self._slots.acquire(timeout=_POLL_SECONDS):
            if stop.is_set:
                raise DecodingStoppedError
        try:
            return self._decode(self._take(), data, request, stop)
        finally:
            self._slots.release()

    def _decode(
        self, decoder: _Decoder, data: bytes, request: dict[str, Any], stop: Stop, retry: bool = True
    ) -> _Images:
        is_reusable = False
        try:
            with stop.can_kill(decoder):
                images = decoder.decode(data, request)
            is_reusable = True
            return images
        except ImageError:
            is_reusable = True
            raise
        except _WorkerDiedError:
            if stop.is_set:
                raise DecodingStoppedError from None
            if not (retry and decoder.was_killed_from_outside()):
                reason, problem = decoder.failure_reason(request)
                raise ImageError(f"{request['name']}: {reason}", problem) from None
        finally:
            if is_reusable and not (stop.is_set or decoder.timed_out):  # either may have killed it just now
                self._idle.append(decoder)
            else:
                self._all.discard(decoder)
                decoder.end()
        # Only once: the image may have used up the memory of the machine.
        return self._decode(self._take(), data, request, stop, retry=False)

    def _take(self) -> _Decoder:
        while self._idle:
            decoder = self._idle.pop()
            if decoder.process.poll() is None:
                return decoder
            self._all.discard(decoder)
            decoder.close_pipes()
        decoder = _Decoder()
        self._all.add(decoder)
        return decoder

    def close(self) -> None:
        """Kill all workers."""
        while self._all:
            self._all.pop().end()

    def leave_to_parent(self) -> None:
        """Release the workers in a forked process: they belong to the parent, and exit once all pipes are closed."""
        for decoder in self._all:
            decoder.close_pipes()
            decoder.process.returncode = 0  # not a child of this process, so it must not be polled


def _new_pool() -> _Pool:
    return _Pool(min(_MAX_PROCESSES, os.cpu_count() or 1))


def _after_fork() -> None:
    global _POOL
    _POOL.leave_to_parent()
    _POOL = _new_pool()


_POOL = _new_pool()
atexit.register(lambda: _POOL.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
