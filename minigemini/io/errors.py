"""Errors caused by user input. Every message is one line that names the value and the fix."""

from collections.abc import Sequence


class CheckpointError(ValueError):
    """A checkpoint cannot be loaded. The message is one line that names the folder, the problem and the fix."""


class RequestError(ValueError):
    """A request is invalid. The message is one line that names the value and the fix."""


class StructureError(RequestError):
    """A JSON schema for an answer cannot be followed."""


def listed(names: Sequence[str], most: int = 50) -> str:
    """Join names in one line, at most `most` of them."""
    return ", ".join(names[:most]) + (f", … ({len(names) - most} more)" if len(names) > most else "")


def one_line(error: Exception, most_chars: int = 300) -> str:
    """The message of another library's error in one line, or the error's type if it has no message."""
    return (" ".join(str(error).split()) or type(error).__name__)[:most_chars]
