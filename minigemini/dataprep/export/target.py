"""Target of a build: a folder, or a URL that fsspec can write to. Files are written atomically."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...io.atomic_write import flush

Result = TypeVar("Result")


@dataclass(frozen=True)
class Target:
    """A folder or remote location.

    Attributes:
        url: path of a folder, or a URL (`s3://bucket/folder`, `gs://...`).
    """

    url: str

    @property
    def is_local(self) -> bool:
        """Whether it is a local folder."""
        return "://" not in self.url

    def write(self, name: str, produce: Callable[[Path], Result]) -> Result:
        """Write a file under a temporary name and rename or upload it when it is complete."""
        if self.is_local:
            place = Path(self.url, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            aside = place.with_name(f".{place.name}.{os.getpid()}.partial")
            try:
                result = produce(aside)
                flush(aside)
                os.replace(aside, place)
            finally:
                aside.unlink(missing_ok=True)
            return result
        with tempfile.TemporaryDirectory() as folder:
            result = produce(Path(folder, "file"))
            system, top = self._system()
            system.makedirs(f"{top}/{name}".rpartition("/")[0], exist_ok=True)
            system.put_file(
                str(Path(folder, "file")), f"{top}/{name}"
            )  # object stores show a file only when it is complete
        return result

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        self.write(name, lambda aside: aside.write_text(text, encoding="utf-8", errors="backslashreplace"))

    def read(self, name: str) -> bytes | None:
        """Content of a file; None if it does not exist."""
        try:
            if self.is_local:
                return Path(self.url, name).read_bytes()
            system, top = self._system()
            content: bytes = system.cat_file(f"{top}/{name}")
            return content
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        """Size of a file in bytes; None if it does not exist."""
        try:
            if self.is_local:
                return Path(self.url, name).stat().st_size
            system, top = self._system()
            return int(system.size(f"{top}/{name}"))
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Names of its top-level entries."""
        if self.is_local:
            return sorted(os.listdir(self.url)) if os.path.isdir(self.url) else []
        system, top = self._system()
        return sorted(Path(found).name for found in system.ls(top, detail=False)) if system.exists(top) else []

    def remove(self, name: str) -> None:
        """Remove a file or a folder, if it exists."""
        if self.is_local:
            import shutil

            path = Path(self.url, name)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            return
        system, top = self._system()
        if system.exists(f"{top}/{name}"):
            system.rm(f"{top}/{name}", recursive=True)

    def _system(self) -> tuple[Any, str]:
        import fsspec

        system, top = fsspec.core.url_to_fs(self.url)
        return system, top.rstrip("/")
