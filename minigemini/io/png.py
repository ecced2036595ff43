"""Writes PNG files atomically, with metadata in text chunks."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .atomic_write import atomic_write
from .errors import RequestError


def check_target(path: Path, what: str = "image") -> None:
    """Check that a PNG can be written to a path, before any work is done.

    Raises:
        RequestError: The suffix is not .png, or the folder does not exist.
    """
    if path.suffix.lower() != ".png":
        raise RequestError(f"{path}: the {what} is written as PNG; give a name that ends in .png")
    if not path.parent.is_dir():
        raise RequestError(f"{path}: no folder {path.parent}; create it first")
    if path.is_dir():
        raise RequestError(f"{path}: is a folder; name a file in it")


def encode_png(image: Image.Image, texts: Mapping[str, str] | None = None, **options: Any) -> bytes:
    """Encode an image as PNG.

    Args:
        image: The image.
        texts: Metadata by keyword, stored in tEXt chunks (iTXt if not Latin-1).
        **options: Options of Pillow's writer, such as `compress_level`.
    """
    info, file = PngInfo(), BytesIO()
    for keyword, text in (texts or {}).items():
        info.add_text(keyword, text)
    image.save(file, "PNG", pnginfo=info, **options)
    return file.getvalue()


def write_png(image: Image.Image, path: Path, texts: Mapping[str, str] | None = None) -> None:
    """Write a PNG file atomically.

    Args:
        image: The image.
        path: The file, which must end in .png.
        texts: As in `encode_png`.

    Raises:
        RequestError: The file cannot be written.
    """
    check_target(path)
    try:
        with atomic_write(path) as aside:
            aside.write_bytes(encode_png(image, texts))
    except OSError as error:
        raise RequestError(f"{path}: cannot be written ({error.strerror}); name another file") from None
