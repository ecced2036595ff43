"""Bringing files here: resumed where they broke off, checked, under their final names only when whole."""

from .download import Outcome, fetch
from .transfer import FetchError

__all__ = ["FetchError", "Outcome", "fetch"]
