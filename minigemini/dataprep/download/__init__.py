"""Downloads with resume and checksums; a file gets its final name only when it is complete."""

from ...io.transfer import DownloadError
from .download import DownloadOutcome, download

__all__ = ["DownloadError", "DownloadOutcome", "download"]
