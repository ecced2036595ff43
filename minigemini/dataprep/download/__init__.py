"""Downloads with resume and checksums; a file gets its final name only when it is complete."""

from .download import DownloadOutcome, download
from .transfer import DownloadError

__all__ = ["DownloadError", "DownloadOutcome", "download"]
