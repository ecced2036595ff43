"""All files of some sources, several at a time; what cannot be had is said at the end and costs nothing else."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from tqdm import tqdm

from ..source_spec import RemoteFile, SourceSpec
from .origins import origin_of
from .transfer import DownloadError, Transfer
from .unpacking import unpack


@dataclass
class DownloadOutcome:
    """What became of the files.

    Attributes:
        fetched, there: paths that came in, and that were there already.
        by_hand: files that a person must ask for.
        failed: what went wrong, a line each.
    """

    fetched: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
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
    """Fetch the files of sources into the folder of data.

    Args:
        sources: which; files that several share come once.
        data: where to.
        mirror: a folder or URL that has the files under the same paths, asked in place of their official origins.
        workers: how many files at a time.
        unpacked: also unpack archives.
        pause: seconds before an origin that failed is asked again.
        quiet: show no progress.

    Returns:
        What became of them; a file that fails keeps no other from coming.
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
                {"fetched": outcome.fetched, "there": outcome.there}.get(kept, []).append(file.path)
                if kept == "by hand":
                    outcome.by_hand.append(file)
        except BaseException:  # Ctrl-C: threads would bring in the rest before anybody could leave
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
    """Nobody wants the files any more; what came in stays."""


class _Progress:
    """Counts what comes in, and ends whoever brings more once it is stopped."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.stopped = bar, Event()

    def __call__(self, count: int) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        self.bar.update(count)


def _line(error: OSError) -> str:
    said = str(error) if error.filename is None else f"{error.filename}: {error.strerror}"
    return " ".join(said.split())


def _fetch_one(file: RemoteFile, data: Path, mirror: str | None, progress: _Progress, pause: float) -> str:
    target = data / file.path
    if file.path.endswith("/"):
        return "there" if target.is_dir() and any(target.iterdir()) else "by hand"
    if target.is_file():
        if file.size is not None and target.stat().st_size != file.size:
            raise DownloadError(
                f"{target}: {target.stat().st_size:,} bytes, where the source declares {file.size:,}: remove or rename "
                "it, and fetch again"
            )
        return "there"
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
