"""What can go wrong by the user's hand: every message is one line that names the value and the mend."""

from collections.abc import Sequence


class CheckpointError(ValueError):
    """A checkpoint that is not loaded; the message is one line that names the folder, the number and the mend."""


class RequestError(ValueError):
    """What was asked for cannot be done; the message is one line that names the value and the mend."""


def listed(names: Sequence[str], most: int = 50) -> str:
    """Names as one line; of very many the first."""
    return ", ".join(names[:most]) + (f", … ({len(names) - most} more)" if len(names) > most else "")


def one_line(error: Exception, most_chars: int = 300) -> str:
    """Another library's message as one line, or the error's type where it has none."""
    return (" ".join(str(error).split()) or type(error).__name__)[:most_chars]
