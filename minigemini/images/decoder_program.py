"""Worker program that decodes images and videos; `decoders` starts it and communicates with it over pipes.

It is run by path and imports sibling modules by path, so that it imports Pillow but neither torch nor Transformers.
PyAV is imported with the first video. It starts in 0.2 s and uses 20 MB. The pipes carry JSON and pixels, whose parsing
cannot run code.
"""

import importlib
import json
import os
import struct
import sys
import types
from typing import IO, Any

HEAD = struct.Struct("<IQ")
"""Header of a message: the size of its JSON and of the payload after it, in bytes."""
MAX_JSON_BYTES = 2**16
"""Maximum size of the JSON; longer messages are corrupt."""
READY = b"+"
"""Written once, when the program is ready."""
MEMORY_BYTES = 3 * 2**30
"""Limit on the address space; decoding 64 megapixels uses up to 1.7 GB."""
BAND_BYTES = 2**22
"""Approximate size of the bands in which pixels are sent."""


def main() -> None:
    """Decode images and videos from stdin until it is closed."""
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "r+b") as null:  # output of libraries must not reach the pipe
        os.dup2(null.fileno(), 0)
        os.dup2(null.fileno(), 1)
    _limit_process()
    safe_images = load_safe_images()
    write_all(answers, READY)
    while (message := read_message(requests)) is not None:
        request, size = message
        if (data := read_all(requests, size)) is not None:
            answer = _answer_video if "sampling" in request else _answer
            answer(safe_images, request, bytes(data), answers)


def load_safe_images() -> Any:
    """Import the module `safe_images` without its parent package, which would import torch."""
    package = types.ModuleType("minigemini_images")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.safe_images")


def _answer(safe_images: Any, request: dict[str, Any], data: bytes, answers: IO[bytes]) -> None:
    limits = safe_images.ImageLimits(**{**request["limits"], "formats": tuple(request["limits"]["formats"])})
    _limit_time(limits.decode_seconds)
    try:
        image = safe_images.open_image(
            data, limits, request["name"], at_least_px=request["at_least_px"], shorter=request["shorter"]
        )
    except safe_images.ImageError as error:
        write_message(answers, {"error": str(error), "problem": error.problem.value})
        return
    finally:
        _limit_time(0)
    _write_image(answers, image)


def _answer_video(safe_images: Any, request: dict[str, Any], data: bytes, answers: IO[bytes]) -> None:
    """Send each frame when it is decoded, so that only one is in memory here, then an end."""
    decoding = importlib.import_module(f"{safe_images.__package__}.video_decoding")
    limits = decoding.VideoLimits(**request["limits"])
    sampling = decoding.VideoSampling(**request["sampling"])
    _limit_time(limits.decode_seconds)
    try:
        for time, image in decoding.decode_video(data, sampling, limits, request["name"]):
            _write_image(answers, image, time=time)
    except safe_images.ImageError as error:
        write_message(answers, {"error": str(error), "problem": error.problem.value})
        return
    finally:
        _limit_time(0)
    write_message(answers, {"end": True})


def _write_image(answers: IO[bytes], image: Any, **more: Any) -> None:
    write_message(answers, {"size": image.size, **more}, 3 * image.width * image.height)
    for top, bottom in bands(*image.size):
        write_all(answers, image.crop((0, top, image.width, bottom)).tobytes())


def bands(width: int, height: int) -> list[tuple[int, int]]:
    """Half-open row ranges of the bands of pixels."""
    step = max(1, BAND_BYTES // (3 * width))
    return [(top, min(top + step, height)) for top in range(0, height, step)]


def _limit_process() -> None:
    """Limit memory and disable core dumps where supported, and leave signals of the group to the parent process."""
    import signal

    # Signals for the whole group (Ctrl-C, torchrun's SIGTERM) are for the parent, which may still finish its step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # Windows has none of these limits, and macOS not all


def _limit_time(seconds: float) -> None:
    """Terminate this process after this much more CPU time; 0 removes the limit."""
    import signal

    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF terminates a process even within C code


def read_message(pipe: IO[bytes]) -> tuple[dict[str, Any], int] | None:
    """Read JSON and the size of the payload that follows. None if the pipe is closed or the message is corrupt."""
    head = read_all(pipe, HEAD.size)
    if head is None:
        return None
    json_bytes, payload_bytes = HEAD.unpack(head)
    text = read_all(pipe, json_bytes) if json_bytes <= MAX_JSON_BYTES else None
    return None if text is None else (json.loads(text), payload_bytes)


def write_message(pipe: IO[bytes], content: dict[str, Any], payload_bytes: int = 0) -> None:
    """Write JSON and the size of the payload that the caller writes after it."""
    text = json.dumps(content).encode()
    write_all(pipe, HEAD.pack(len(text), payload_bytes) + text)


def read_all(pipe: IO[bytes], count: int) -> bytearray | None:
    """Read exactly `count` bytes; None if the pipe is closed."""
    data = bytearray(count)
    view = memoryview(data)
    while view:
        read_bytes: Any = pipe.readinto(view)  # type: ignore[attr-defined]
        if not read_bytes:
            return None
        view = view[read_bytes:]
    return data


def write_all(pipe: IO[bytes], data: bytes | bytearray) -> None:
    """Write all data; unbuffered pipes accept a part at a time."""
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


if __name__ == "__main__":
    main()
