"""Downloads all files of sources concurrently; failures are reported at the end and do not affect other files."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from tqdm import tqdm

from ...io.origins import origin_of
from ...io.transfer import DownloadError, Transfer
from ..source_spec import RemoteFile, SourceSpec
from .unpacking import unpack


@dataclass
class DownloadOutcome:
    """Result of a download.

    Attributes:
        fetched, present: paths of files that were downloaded, and that already existed.
        by_hand: files that must be obtained manually.
        failed: one line per error.
    """

    fetched: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    by_hand: list[RemoteFile] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def download(
    sources: Sequence[SourceSpec],
    data: Path,
    *,
    mirror: str | None = None,
    workers: int = 4,
    unpacked: bool = True,
    pause: float = 1.0,
    quiet: bool = False,
) -> DownloadOutcome:
    """Download the files of sources into the data folder.

    Args:
        sources: the sources; files that several of them share are downloaded once.
        data: the data folder.
        mirror: folder or URL with the same paths, used instead of the official locations.
        workers: number of files to download at a time.
        unpacked: also unpack archives.
        pause: seconds before the first retry of a failed origin.
        quiet: hide progress bars.

    Returns:
        The result; a failed file does not stop others.
    """
    files = list({file.path: file for source in sources for file in source.files}.values())
    outcome = DownloadOutcome()
    with (
        tqdm(desc="fetch", unit="B", unit_scale=True, disable=quiet or None) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):
        progress = _Progress(bar)
        jobs = [(file, pool.submit(_fetch_one, file, data, mirror, progress, pause)) for file in files]
        try:
            for file, job in jobs:
                try:
                    kept = job.result()
                except OSError as error:
                    outcome.failed.append(_line(error))
                    continue
                {"fetched": outcome.fetched, "present": outcome.present}.get(kept, []).append(file.path)
                if kept == "by hand":
                    outcome.by_hand.append(file)
        except BaseException:  # Ctrl-C: otherwise the threads would finish their downloads first
            progress.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for file in files if unpacked else ():
        if file.unpack and (data / file.path).is_file():
            try:
                unpack(data / file.path, data / file.unpack, quiet)
            except OSError as error:
                outcome.failed.append(_line(error))
    return outcome


class _StoppedError(Exception):
    """The download was interrupted; partial files are kept."""


class _Progress:
    """Counts received bytes; once stopped, it raises in the downloading threads."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.stopped = bar, Event()

    def __call__(self, count: int) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        self.bar.update(count)


def _line(error: OSError) -> str:
    text = str(error) if error.filename is None else f"{error.filename}: {error.strerror}"
    return " ".join(text.split())


def _fetch_one(file: RemoteFile, data: Path, mirror: str | None, progress: _Progress, pause: float) -> str:
    target = data / file.path
    if file.path.endswith("/"):
        return "present" if target.is_dir() and any(target.iterdir()) else "by hand"
    if target.is_file():
        if file.size is not None and target.stat().st_size != file.size:
            raise DownloadError(
                f"{target} has {target.stat().st_size:,} bytes, but the source declares {file.size:,}: remove or "
                "rename it, then fetch again"
            )
        return "present"
    if mirror is None and file.url is None:
        return "by hand"
    url = file.url if mirror is None else f"{mirror.rstrip('/')}/{file.path}"
    transfer = Transfer(origin_of(str(url)), target, file.size, file.sha256, file.sha1, progress, pause)
    try:
        transfer.run()
    except DownloadError:
        if file.url is None and not transfer.partial.exists():
            return "by hand"
        raise
    return "fetched"
