"""Opens images from any source that nobody vouches for. All limits on them are in this file, and nowhere else.

A picture of 504 KB can decode to 1.35 GB, and 254 bytes of 60000 x 1 pixels to 10 GB once padded to a square. So bytes,
format, size and shape are checked on the header, before a single pixel is decoded; `containers` leaves out what
is not shown, and refuses what would take too long to decode.

What a person sees is what the model gets, whether an image comes as a path, bytes, a file, a data URI, a `PIL.Image`, a
numpy array or a torch tensor: EXIF rotation is applied, 16-bit grey is scaled to 8 bits, transparency lies on white, an
animation shows its first frame. `MiniGeminiImageProcessor` by itself turns pictures upright and does no more: it treats
them as the published models' code did (alpha dropped, 16-bit clipped); golden vectors pin that.

This file decodes in its own process. Where images come from strangers, `decoders` does so in others, which import
this file without the rest of the package: so it imports neither torch nor Transformers, and numpy only when needed.
"""

import math
import os
import re
import stat
import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Union

from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from .containers import MAX_METADATA_BYTES, TooCostlyError, strip_unused
from .data_uris import base64_of, decode_base64, is_data_uri

if TYPE_CHECKING:
    import numpy as np
    import torch

ImageSource = Union[str, os.PathLike[str], bytes, IO[bytes], Image.Image, "np.ndarray", "torch.Tensor"]
"""A path or data URI, a path, the bytes of a file, a binary file, or pixels."""


class ImageProblem(StrEnum):
    """What can be wrong with a picture's file."""

    MISSING = "missing"
    UNREADABLE = "cannot be read"
    EMPTY = "zero bytes"
    TOO_LARGE = "over a limit"
    NO_IMAGE = "not a picture"
    BROKEN = "broken or cut off"


class ImageError(ValueError):
    """A picture that is not read; the message is one line that names the picture, the number and the mend.

    Attributes:
        problem: what is wrong, for counting.
    """

    def __init__(self, message: str, problem: ImageProblem) -> None:
        super().__init__(message, problem)  # all arguments, so that it survives pickling between processes
        self.problem = problem

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class ImageLimits:
    """What is read. The defaults take a 50-megapixel photograph of a telephone; decoding it peaks at about 0.6 GB."""

    max_bytes: int = 64 * 2**20
    """Size of the file, bytes."""
    max_pixels: int = 64_000_000
    """Width x height: what decoding costs."""
    max_side: int = 10_000
    """Longer side, pixels: its square is what padding to a square costs."""
    max_aspect_ratio: int = 100
    """Longer side / shorter side: beyond it nothing is left to see once the picture is a small square."""
    decode_seconds: float = 2.0
    """Processor time for one image, where another process decodes it."""
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF")
    """Pillow's names. Deliberately without EPS (it runs Ghostscript), PSD, TIFF and others that are rarely audited."""


LIMITS = ImageLimits()

# What Pillow's decoders raise on broken files: the lists in `PIL.ImageFile` and `PIL.Image`; fuzzing showed no more.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

_READERS = {
    "JPEG": JpegImagePlugin.JpegImageFile,  # without the reader of MPO, which is for further frames
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_LONGEST_NAME_CHARS = 200

_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(
    source: ImageSource,
    limits: ImageLimits = LIMITS,
    name: str | None = None,
    *,
    at_least_px: int | None = None,
    shorter: bool = False,
) -> Image.Image:
    """Read one picture, upright, as RGB.

    Args:
        source: path, data URI, encoded bytes, a binary file that is read from where it stands, a `PIL.Image` (its
            current frame, turned as its EXIF says), or an array (see `arrays`). An address is refused.
        limits: what is accepted.
        name: what error messages call the picture; the path or the file's name by default.
        at_least_px: a JPEG may be decoded to a half, a quarter or an eighth, which takes a fraction of the time, as
            long as its longer side keeps that many pixels; all its data are read all the same. None keeps all.
        shorter: measure the shorter side in its place, as for cropping.

    Returns:
        The decoded picture, mode RGB; `source` itself only where that is one already.

    Raises:
        ImageError: no such file, no picture, broken, or over a limit.
    """
    name = display_name(source, name)
    if not is_encoded(source):
        return _open_pixels(source, limits, name)
    with open_stored(source, limits, name, at_least_px=at_least_px, shorter=shorter) as image:
        return _as_seen(image, name)


def open_stored(
    source: Any,
    limits: ImageLimits = LIMITS,
    name: str | None = None,
    *,
    at_least_px: int | None = None,
    shorter: bool = False,
) -> Image.Image:
    """Read one picture within the limits, but leave mode and orientation as they are in its file.

    Args:
        source: as `open_image` takes it, without pixels.
        limits, name, at_least_px, shorter: see there.

    Raises:
        ImageError: as there.
    """
    name = display_name(source, name)
    data = read_encoded(source, limits, name)
    image = _open_header(data, limits, name)
    _check_shape(image.size, limits, name)
    if at_least_px is not None:
        shrink = at_least_px / (min if shorter else max)(image.size)
        image.draft(None, (math.ceil(image.width * shrink), math.ceil(image.height * shrink)))
    try:
        image.load()
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{name}: broken or cut off after {len(data):,} bytes ({error}); copy or save it again",
            ImageProblem.BROKEN,
        ) from None
    return image


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says; itself where it stands upright."""
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def is_encoded(source: Any) -> bool:
    """Whether a source is a file, by whatever name, and not pixels."""
    return isinstance(source, str | bytes | os.PathLike) or hasattr(source, "read")


def _open_pixels(source: Any, limits: ImageLimits, name: str) -> Image.Image:
    """A picture that somebody else has decoded, or begun to."""
    if not isinstance(source, Image.Image):
        from .arrays import image_of_array, is_array

        if not is_array(source):
            raise ImageError(
                f"{name}: {type(source).__name__} is no picture; give a path, bytes, a file, a PIL.Image or an array",
                ImageProblem.NO_IMAGE,
            )
        try:
            source = image_of_array(source)
        except ValueError as error:
            raise ImageError(f"{name}: {error}", ImageProblem.NO_IMAGE) from None
    _check_shape(source.size, limits, name)
    try:
        source.load()
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: broken or cut off ({error}); copy or save it again", ImageProblem.BROKEN) from None
    if type(source) is Image.Image and source.mode == "RGB" and not source.info and _orientation(source) == 1:
        return source
    return _as_seen(source, name)


def format_of(head: bytes, limits: ImageLimits = LIMITS) -> str | None:
    """Pillow's name of the format that a file's first 16 bytes tell; None if it is none that is read."""
    return next((known for known in limits.formats if _accepts(known, head[:16])), None)


def _accepts(known: str, head: bytes) -> bool:
    accepts = Image.OPEN[known][1]
    return accepts is not None and accepts(head) is True


def read_encoded(source: Any, limits: ImageLimits, name: str) -> bytes:
    """All bytes of a source that is encoded, never more than one over the limit: a pipe has no size to ask for.

    Raises:
        ImageError: it cannot be read, is empty or over the limit.
    """
    try:
        data = _encoded_bytes(source, limits.max_bytes + 1, name)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file; check the path", ImageProblem.MISSING) from None
    except IsADirectoryError:
        raise ImageError(f"{name}: a folder, not a picture; name a file in it", ImageProblem.NO_IMAGE) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path, or a file that is closed
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(
            f"{name}: cannot be read ({reason}); check the path and its permissions", ImageProblem.UNREADABLE
        ) from None
    if not isinstance(data, bytes):
        raise TypeError(f"{name}: the file gives {type(data).__name__}, not bytes; open it with mode 'rb'")
    if not data:
        raise ImageError(f"{name}: 0 bytes, an empty file; save or copy it again", ImageProblem.EMPTY)
    if len(data) > limits.max_bytes:
        raise ImageError(
            f"{name}: more than {limits.max_bytes:,} bytes, the most that is read; make the picture smaller",
            ImageProblem.TOO_LARGE,
        )
    return data


def _encoded_bytes(source: Any, most_bytes: int, name: str) -> Any:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str) and is_data_uri(source):
        try:
            return decode_base64(base64_of(source))
        except ValueError as error:
            raise ImageError(f"{name}: {error}", ImageProblem.NO_IMAGE) from None
    if isinstance(source, str) and _ADDRESS.match(source):
        why = "pictures are not fetched from addresses; download it and give its path"
        raise ImageError(f"{name}: {why}", ImageProblem.UNREADABLE)
    if not isinstance(source, str | os.PathLike):
        return source.read(most_bytes)
    with open(source, "rb", opener=_open_at_once) as file:
        # A named pipe would wait for a writer, and a device has no end.
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ImageError(f"{name}: not a regular file; copy the picture into one", ImageProblem.UNREADABLE)
        return file.read(most_bytes)


def _open_at_once(path: str, flags: int) -> int:
    """Without waiting for a pipe's other end."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _open_header(data: bytes, limits: ImageLimits, name: str) -> Image.Image:
    """Parse the header alone; no pixel is decoded.

    `Image.open` would do the same, but raises on 30000 x 30000 pixels before anybody can say so in the message.
    """
    known = format_of(data, limits)
    if known is None:
        raise ImageError(
            f"{name}: not a picture in {', '.join(limits.formats)}; convert it to one of these", ImageProblem.NO_IMAGE
        )
    try:
        needed = strip_unused(known, data)
    except TooCostlyError as error:
        raise ImageError(f"{name}: {error}", ImageProblem.TOO_LARGE) from None
    if needed.size is not None:
        _check_shape(needed.size, limits, name)
    try:
        image = _READERS[known](BytesIO(needed.data), "")
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{name}: a {known} with a broken header ({error}); copy or save it again", ImageProblem.BROKEN
        ) from None
    if len(exif := image.info.get("exif", b"")) > MAX_METADATA_BYTES:
        image.info["exif"] = exif[:MAX_METADATA_BYTES]  # the orientation stands at its beginning
    return image


def _check_shape(size: tuple[int, int], limits: ImageLimits, name: str) -> None:
    """Refuse sizes (width, height) that are costly to decode, or to pad to a square."""
    width, height = size
    shown = f"{name}: {width} x {height} pixels"
    if width < 1 or height < 1:
        raise ImageError(f"{shown}, an empty picture; save it again", ImageProblem.BROKEN)
    if max(size) > limits.max_side:
        raise ImageError(
            f"{shown}, a side of more than {limits.max_side:,}; scale it down or cut it into parts",
            ImageProblem.TOO_LARGE,
        )
    if width * height > limits.max_pixels:
        raise ImageError(
            f"{shown} = {width * height:,}, more than the {limits.max_pixels:,} that are read; scale it down",
            ImageProblem.TOO_LARGE,
        )
    if max(size) > limits.max_aspect_ratio * min(size):
        raise ImageError(
            f"{shown}, one side more than {limits.max_aspect_ratio} times the other; cut it into parts that can "
            "be seen",
            ImageProblem.TOO_LARGE,
        )


def _as_seen(image: Image.Image, name: str) -> Image.Image:
    """The loaded picture as a viewer would show it: a copy, RGB, upright."""
    turn = _UPRIGHT.get(_orientation(image))
    try:
        rgb = _rgb(image)
    except ValueError as error:  # of modes that none of our formats has
        raise ImageError(f"{name}: {error}; convert it to RGB", ImageProblem.NO_IMAGE) from None
    rgb.info.clear()  # EXIF may hold where and when the picture was taken
    return rgb if turn is None else rgb.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # "I;16", "I;16B" or "I": 16-bit grey, of which `convert` clips all above 255
        import numpy as np

        values = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        # Dropping alpha shows whatever colour hides under it, often black under black letters. White is what a page is.
        seen = image.convert("RGBA")
        rgb = Image.new("RGB", seen.size, (255, 255, 255))
        rgb.paste(seen, mask=seen.getchannel("A"))
        return rgb
    # CMYK too: the JPEG reader has already undone Adobe's inversion. Colour profiles are not applied: the published
    # models saw none, and a profile is one more parser of untrusted bytes.
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 (upright) where there is none or the block is broken: viewers ignore such a block too."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def display_name(source: Any, name: str | None = None) -> str:
    """What messages call a picture; one line of bounded length, whatever a file's name holds."""
    if name is None:
        name = _name_of(source)
    shown = "".join(char if char.isprintable() else "?" for char in name[: _LONGEST_NAME_CHARS + 1])
    return shown if len(name) <= _LONGEST_NAME_CHARS else shown[:_LONGEST_NAME_CHARS] + "…"


def _name_of(source: Any) -> str:
    if isinstance(source, str) and is_data_uri(source):
        return "picture"
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) and name else "picture"
