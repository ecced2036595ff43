"""stdin, stdout and stderr as they come: other encodings than UTF-8, readers that leave, full disks."""

import json
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any


def prepare_streams() -> None:
    """Write what an encoding lacks as `\\x` and `\\u` escapes, and read bytes that are not text as arguments are read.

    Without it an answer with a dash in it would end a program whose stdout is ASCII or a Windows code page, and only
    once all the work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not where something else stands in for it
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def drop_output() -> None:
    """Write nothing more where that fails: Python would complain again as it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError, AttributeError):  # a stand-in has no descriptor
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_json(value: Any, indent: int | None = None) -> None:
    """Print JSON, escaped where stdout is not UTF-8: what the stream would put in place of a letter is not JSON's."""
    is_utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    print(json.dumps(value, ensure_ascii=not is_utf8, indent=indent))
