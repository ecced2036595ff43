"""The model that answers when none is named."""

import sys
from contextlib import suppress
from functools import cache

from ..plugins import model_folder, plugins
from .errors import CheckpointError

DEFAULT_MODELS = ("small", "nano")
"""Of these the first that is here."""


def default_model() -> str:
    """Return `small` if it has been pulled, else `nano`, which every installation has."""
    for name in DEFAULT_MODELS[:-1]:
        with suppress(CheckpointError):
            if model_folder(name) is not None:
                return name
    return DEFAULT_MODELS[-1]


@cache
def announce_default(model: str) -> None:
    """Say once per process on stderr that a better model than the default could be pulled."""
    better = DEFAULT_MODELS[0]
    if model != better and better in plugins("models"):
        print(
            f"minigemini: answering with {model}; `minigemini pull {better}` gets the model for photographs",
            file=sys.stderr,
            flush=True,
        )
