"""The program that decodes images in a process of its own; `decoders` starts it and talks to it.

It is run by its path, and finds its neighbors by theirs, so that it imports Pillow and neither torch nor Transformers:
it is ready in 0.2 s, and takes 20 MB. What goes over its pipes is JSON and pixels, nothing that could
run code where it is read.
"""

import importlib
import json
import os
import struct
import sys
import types
from typing import IO, Any

HEAD = struct.Struct("<IQ")
"""Before each message: bytes of its JSON, and of what follows that."""
MOST_JSON_BYTES = 2**16
"""A message says little; more is a broken one."""
READY = b"+"
"""Written once, when the program takes images."""
MEMORY_BYTES = 3 * 2**30
"""Address space; decoding 64 megapixels takes up to 1.7 GB of it."""
BAND_BYTES = 2**22
"""Pixels are sent in bands of about this size."""


def main() -> None:
    """Decode what comes on stdin until it ends."""
    requests, answers = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "r+b") as nothing:  # whatever a library prints is no answer
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    _limit_process()
    images = load_safe_images()
    write_all(answers, READY)
    while (message := read_message(requests)) is not None:
        asked, size = message
        if (data := read_all(requests, size)) is not None:
            _answer(images, asked, bytes(data), answers)


def load_safe_images() -> Any:
    """The module `pictures`, without the packages that it lies in, which import torch."""
    package = types.ModuleType("minigemini_images")
    package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.safe_images")


def _answer(images: Any, asked: dict[str, Any], data: bytes, answers: IO[bytes]) -> None:
    limits = images.ImageLimits(**{**asked["limits"], "formats": tuple(asked["limits"]["formats"])})
    _limit_time(limits.decode_seconds)
    try:
        image = images.open_image(
            data, limits, asked["name"], at_least_px=asked["at_least_px"], shorter=asked["shorter"]
        )
    except images.ImageError as error:
        write_message(answers, {"error": str(error), "problem": error.problem.value})
        return
    finally:
        _limit_time(0)
    write_message(answers, {"size": image.size}, 3 * image.width * image.height)
    for top, bottom in bands(*image.size):
        write_all(answers, image.crop((0, top, image.width, bottom)).tobytes())


def bands(width: int, height: int) -> list[tuple[int, int]]:
    """First row, and row behind the last, of each band of pixels."""
    step = max(1, BAND_BYTES // (3 * width))
    return [(top, min(top + step, height)) for top in range(0, height, step)]


def _limit_process() -> None:
    """Where the system can: a limit of memory, and no files written on a crash. Ctrl-C is for who started this."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, ValueError, OSError):
        pass  # Windows has none, and macOS does not take all of them


def _limit_time(seconds: float) -> None:
    """End this process when it has used so much processor time from now on; 0 lifts the limit."""
    import signal

    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends a process, also amid C code


def read_message(pipe: IO[bytes]) -> tuple[dict[str, Any], int] | None:
    """JSON, and how many bytes come behind it; None where the pipe has ended, or what comes is none of ours."""
    head = read_all(pipe, HEAD.size)
    if head is None:
        return None
    json_bytes, more = HEAD.unpack(head)
    about = read_all(pipe, json_bytes) if json_bytes <= MOST_JSON_BYTES else None
    return None if about is None else (json.loads(about), more)


def write_message(pipe: IO[bytes], about: dict[str, Any], more: int = 0) -> None:
    """JSON, and how many bytes will be written behind it."""
    text = json.dumps(about).encode()
    write_all(pipe, HEAD.pack(len(text), more) + text)


def read_all(pipe: IO[bytes], count: int) -> bytearray | None:
    """Exactly so many bytes; None where the pipe has ended."""
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got: Any = pipe.readinto(view)  # type: ignore[attr-defined]
        if not got:
            return None
        view = view[got:]
    return data


def write_all(pipe: IO[bytes], data: bytes | bytearray) -> None:
    """All of it: pipes without a buffer take a part at a time."""
    view = memoryview(data)
    while view:
        view = view[pipe.write(view) :]


if __name__ == "__main__":
    main()
