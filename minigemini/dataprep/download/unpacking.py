"""Unpacks zip archives of images; members cannot leave the folder and are written atomically."""

import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from ...io.folder_lock import FolderInUseError, output_lock
from ...io.transfer import DownloadError


def unpack(archive: Path, folder: Path, quiet: bool = False) -> int:
    """Unpack a zip archive; members that exist with the right size are skipped.

    Leading folders of the archive that equal the end of `folder` are not repeated: `images/7.jpg` is written to
    `.../images/7.jpg`, whether or not `folder` ends in `images`.

    Args:
        archive: the archive.
        folder: folder to unpack into.
        quiet: hide the progress bar.

    Returns:
        Number of members written.

    Raises:
        DownloadError: The archive is damaged, a member would leave the folder, the disk is too full, or another
            process unpacks the archive.
    """
    try:
        with output_lock(archive):
            return _unpack(archive, folder, quiet)
    except FolderInUseError as error:
        raise DownloadError(str(error)) from None


def _unpack(archive: Path, folder: Path, quiet: bool) -> int:
    done = archive.with_name(f".{archive.name}.unpacked")
    stamp = f"{archive.stat().st_size} {folder.name}"
    if done.is_file() and done.read_text() == stamp:
        return 0
    written = 0
    try:
        with zipfile.ZipFile(archive) as source:
            members = [member for member in source.infolist() if not member.is_dir()]
            places = {member: _place(member, archive, folder) for member in members}
            _check_room(sum(m.file_size for m in members if not _is_there(m, places[m])), archive, folder)
            for member in tqdm(members, desc=f"unpack {archive.name}", unit=" files", disable=quiet or None, delay=2):
                if not _is_there(member, places[member]):
                    _write(source, member, places[member])
                    written += 1
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:  # RuntimeError: encrypted
        raise DownloadError(f"{archive} is damaged or not a zip archive ({error}): remove it and fetch again") from None
    done.write_text(stamp)
    return written


def _place(member: zipfile.ZipInfo, archive: Path, folder: Path) -> Path:
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(member.external_attr >> 16):
        raise DownloadError(f"{archive} has a member {member.filename!r} outside its folder: refusing to unpack it")
    own = folder.parts
    shared = next((n for n in range(len(name.parts) - 1, 0, -1) if own[-n:] == name.parts[:n]), 0)
    return folder.joinpath(*name.parts[shared:])


def _is_there(member: zipfile.ZipInfo, place: Path) -> bool:
    return place.is_file() and place.stat().st_size == member.file_size


def _check_room(needed: int, archive: Path, folder: Path) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DownloadError(
            f"{archive} needs {needed:,} bytes, but the disk of {folder} has {free:,} free: free disk space"
        )


def _write(source: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_name(f".{place.name}.partial")
    try:
        with source.open(member) as packed, aside.open("wb") as out:
            shutil.copyfileobj(packed, out, 2**20)
        os.replace(aside, place)
    finally:
        aside.unlink(missing_ok=True)
