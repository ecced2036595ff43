"""Decodes untrusted images in worker processes that can be killed, on timeout or when the client disconnects.

`open_isolated` has the interface of `safe_images.open_image`. Checks on the header bound the cost of decoding, but
decoders are C code and their input may be malicious. Here they run without access to this process's memory and
secrets, under limits on memory and CPU time. Workers are reused, and replaced when they exit.
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
    is_encoded,
    open_image,
    read_encoded,
)

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "decoder_program.py")
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""All that a decoder gets of ours: there are keys in what is left out."""
_COUNTS_PROCESSOR_TIME = hasattr(signal, "setitimer")
_WALL_SECONDS = 60.0
"""For one image where processor time is counted too: a busy machine is slow, but a decoder that waits is stuck."""
_POLL_SECONDS = 0.05
_MOST_PROCESSES = 4


class DecodingStoppedError(Exception):
    """Whoever wanted the image has gone."""


class Stop:
    """Ends decoding from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Decoder | None = None
        self.is_set = False

    def set(self) -> None:
        """End what is being decoded; whatever would be decoded next raises `DecodingStoppedError`."""
        with self._lock:
            self.is_set = True
            if self._running is not None:
                self._running.process.kill()

    @contextmanager
    def ends(self, decoder: "_Decoder") -> Iterator[None]:
        """Have `set` end this decoder meanwhile."""
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
    """Read one picture as `open_image` does, and decode it in another process. Blocking.

    Args:
        source, limits, name, at_least_px, shorter: see `open_image`; pixels, which need no decoder, stay here.
        stop: ends it.

    Raises:
        ImageError: as `open_image`, or decoding took too much time or memory.
        DecodingStoppedError: `stop` was set.
    """
    if not is_encoded(source):
        return open_image(source, limits, name)
    name = display_name(source, name)
    asked = {"limits": asdict(limits), "name": name, "at_least_px": at_least_px, "shorter": shorter}
    return _POOL.decode(read_encoded(source, limits, name), asked, stop or Stop())


class _EndedError(Exception):
    """The decoder's process has ended, or answers what it should not."""


class _Decoder:
    """One process, which decodes one image at a time."""

    def __init__(self) -> None:
        process: Any = subprocess.Popen(
            [sys.executable, "-P", _PROGRAM],  # -P: nothing is imported from the folder that it lies in
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
            raise OSError(f"the image decoder does not start: {_PROGRAM} ended with {self.process.returncode}")

    def decode(self, data: bytes, asked: dict[str, Any]) -> Image.Image:
        """Decode one image.

        Raises:
            ImageError: the image is not read; the process waits for the next one.
            _EndedError: the process is of no more use.
        """
        seconds = asked["limits"]["decode_seconds"]
        clock = threading.Timer(max(seconds, _WALL_SECONDS) if _COUNTS_PROCESSOR_TIME else seconds, self._time_out)
        clock.daemon = True
        clock.start()
        try:
            write_message(self._requests, asked, len(data))
            write_all(self._requests, data)
            return self._read_image(asked["limits"]["max_pixels"])
        except ImageError:
            raise
        except (OSError, ValueError, KeyError, TypeError):  # the pipe has no other end, or nonsense comes from there
            raise _EndedError from None
        finally:
            clock.cancel()
            clock.join()  # it does not end the process behind this

    def _read_image(self, max_pixels: int) -> Image.Image:
        message = read_message(self._answers)
        if message is None:
            raise _EndedError
        answer, size = message
        if "error" in answer:
            raise ImageError(answer["error"], ImageProblem(answer["problem"]))
        width, height = answer["size"]
        if size != 3 * width * height or not 0 < width * height <= max_pixels:
            raise _EndedError
        image = Image.new("RGB", (width, height))
        for top, bottom in bands(width, height):
            pixels = read_all(self._answers, 3 * width * (bottom - top))
            if pixels is None:
                raise _EndedError
            image.paste(Image.frombytes("RGB", (width, bottom - top), bytes(pixels)), (0, top))
        return image

    def why_ended(self, asked: dict[str, Any]) -> tuple[str, ImageProblem]:
        """What to say of an image that ended the process."""
        self.end()
        if self.timed_out or (_COUNTS_PROCESSOR_TIME and self.process.returncode == -signal.SIGPROF):
            seconds = asked["limits"]["decode_seconds"]
            return f"takes more than {seconds:g} s to decode; scale it down, or save it again", ImageProblem.TOO_LARGE
        return "its decoder ran out of memory or crashed; save it again", ImageProblem.BROKEN

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.close_pipes()

    def close_pipes(self) -> None:
        """Close this side's ends."""
        self._requests.close()
        self._answers.close()

    def _time_out(self) -> None:
        self.timed_out = True
        self.process.kill()


class _Pool:
    """Decoders, at most so many at a time."""

    def __init__(self, processes: int) -> None:
        self._slots = threading.BoundedSemaphore(processes)
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()

    def decode(self, data: bytes, asked: dict[str, Any], stop: Stop) -> Image.Image:
        """Decode one image once a process is free. Errors as `open_isolated`."""
        while not self._slots.acquire(timeout=_POLL_SECONDS):
            if stop.is_set:
                raise DecodingStoppedError
        try:
            return self._decode(self._take(), data, asked, stop)
        finally:
            self._slots.release()

    def _decode(self, decoder: _Decoder, data: bytes, asked: dict[str, Any], stop: Stop) -> Image.Image:
        answered = False
        try:
            with stop.ends(decoder):
                image = decoder.decode(data, asked)
            answered = True
            return image
        except ImageError:
            answered = True
            raise
        except _EndedError:
            if stop.is_set:
                raise DecodingStoppedError from None
            why, problem = decoder.why_ended(asked)
            raise ImageError(f"{asked['name']}: {why}", problem) from None
        finally:
            if answered and not (stop.is_set or decoder.timed_out):  # which ends it, may be only just now
                self._idle.append(decoder)
            else:
                self._all.discard(decoder)
                decoder.end()

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
        """End all processes."""
        while self._all:
            self._all.pop().end()

    def leave_to_parent(self) -> None:
        """In a process that was forked off: decoders belong to the parent, and end only when nobody holds a pipe."""
        for decoder in self._all:
            decoder.close_pipes()
            decoder.process.returncode = 0  # it is no child of this process, which must not look for it


def _new_pool() -> _Pool:
    return _Pool(min(_MOST_PROCESSES, os.cpu_count() or 1))


def _after_fork() -> None:
    global _POOL
    _POOL.leave_to_parent()
    _POOL = _new_pool()


_POOL = _new_pool()
atexit.register(lambda: _POOL.close())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
