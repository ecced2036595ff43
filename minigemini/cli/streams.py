"""stdin, stdout and stderr: encodings other than UTF-8, closed pipes, full disks."""

import json
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any


def prepare_streams() -> None:
    """Escape characters that stdout's encoding lacks as `\\x` and `\\u`, and decode stdin as Python decodes arguments.

    Without this, a dash in an answer would end a program whose stdout is ASCII or a Windows code page, and only after
    all the work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not a replacement, as in tests and notebooks
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def drop_output() -> None:
    """Send streams that cannot be flushed to the null device: Python would report the error again at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError, AttributeError):  # a replaced stream has no file descriptor
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_json(value: Any, indent: int | None = None) -> None:
    """Print JSON in ASCII unless stdout is UTF-8: the stream's own escapes are not valid JSON."""
    is_utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    print(json.dumps(value, ensure_ascii=not is_utf8, indent=indent))
