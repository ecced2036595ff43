"""Bringing files here: resumed where they broke off, checked, under their final names only when whole."""

from .download import DownloadOutcome, download
from .transfer import DownloadError

__all__ = ["DownloadError", "DownloadOutcome", "download"]
