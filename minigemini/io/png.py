"""Pictures that are written for the user: PNG, whole or not at all, with what made them in text chunks."""

import os
import tempfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .errors import RequestError


def check_target(path: Path, what: str = "picture") -> None:
    """See that a PNG can be written there, before any work is done.

    Raises:
        RequestError: another suffix, or no such folder.
    """
    if path.suffix.lower() != ".png":
        raise RequestError(f"{path}: the {what} is a PNG; give a name that ends in .png")
    if not path.parent.is_dir():
        raise RequestError(f"{path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise RequestError(f"{path}: a folder; name a file in it")


def encode_png(image: Image.Image, texts: Mapping[str, str] | None = None, **how: Any) -> bytes:
    """A picture as a PNG file.

    Args:
        image: what is encoded.
        texts: by keyword, as tEXt chunks (iTXt where they need more than Latin-1).
        **how: further settings of Pillow's, e.g. `compress_level`.
    """
    info, file = PngInfo(), BytesIO()
    for keyword, text in (texts or {}).items():
        info.add_text(keyword, text)
    image.save(file, "PNG", pnginfo=info, **how)
    return file.getvalue()


def write_png(image: Image.Image, path: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write aside and rename, so that whoever reads `path` finds all of it or what was there before.

    Args:
        image: what is written.
        path: where; it ends in .png.
        texts: as `encode_png` takes them.

    Raises:
        RequestError: it cannot be written there.
    """
    check_target(path)
    try:
        handle, aside = tempfile.mkstemp(suffix=".png", prefix=f".{path.stem}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(encode_png(image, texts))
            Path(aside).chmod(0o666 & ~_umask())  # mkstemp made it private
            Path(aside).replace(path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RequestError(f"{path}: cannot be written ({error.strerror}); name another file") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
