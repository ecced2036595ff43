"""Opens untrusted images from any source, within the limits that are defined here.

An image file of 504 KB can decode to 1.35 GB, and one of 254 bytes and 60000 x 1 pixels to 10 GB once padded to a
square. So size in bytes, format, dimensions and aspect ratio are checked on the header, before any pixel is decoded.
`containers` removes data that does not affect the pixels, and rejects files that would take too long to decode.

The model receives what an image viewer shows, whether an image is given as a path, bytes, a file, a data URI, a
`PIL.Image`, a numpy array or a torch tensor: EXIF orientation is applied, 16-bit gray is scaled to 8 bits, transparency
is composited onto white, and animations show their first frame. `MiniGeminiImageProcessor` on its own only applies the
orientation and otherwise follows the published models' code (alpha dropped, 16-bit clipped), as golden vectors verify.

This module decodes in the current process. `decoders` uses worker processes for untrusted images; they import this
module without the rest of the package. So it imports neither torch nor Transformers, and numpy only when needed.
"""

import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Literal, Union

from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from .containers import MAX_METADATA_BYTES, TooCostlyError, strip_unused
from .data_uris import base64_of, decode_base64, is_data_uri

if TYPE_CHECKING:
    import numpy as np
    import torch

ImageSource = Union[str, os.PathLike[str], bytes, IO[bytes], Image.Image, "np.ndarray", "torch.Tensor"]
"""A path or data URI, the bytes of a file, a binary file, or pixels."""


class ImageProblem(StrEnum):
    """Kinds of problems with an image."""

    MISSING = "missing"
    UNREADABLE = "cannot be read"
    EMPTY = "zero bytes"
    TOO_LARGE = "over a limit"
    NO_IMAGE = "not a picture"
    BROKEN = "broken or cut off"


class ImageError(ValueError):
    """An image cannot be read. The message is one line that names the image, the problem and the fix.

    Attributes:
        problem: The kind of problem, for statistics.
    """

    def __init__(self, message: str, problem: ImageProblem) -> None:
        super().__init__(message, problem)  # all arguments, so that the error can be pickled
        self.problem = problem

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class ImageLimits:
    """Limits on images. The defaults accept a 50-megapixel phone photo; decoding it peaks at about 0.6 GB."""

    max_bytes: int = 64 * 2**20
    """Size of the file in bytes."""
    max_pixels: int = 64_000_000
    """Width x height, which determines the cost of decoding."""
    max_side: int = 10_000
    """Longer side in pixels, whose square determines the cost of padding to a square."""
    max_aspect_ratio: int = 100
    """Longer side / shorter side; beyond this, no detail remains after resizing to a square."""
    decode_seconds: float = 2.0
    """CPU time for one image in a worker process."""
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF")
    """Pillow's names. EPS is excluded because it runs Ghostscript; PSD, TIFF and others are rarely audited."""


LIMITS = ImageLimits()

# What Pillow's decoders raise on corrupt files, from `PIL.ImageFile` and `PIL.Image`; fuzzing found no others.
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)

_READERS: dict[str, Callable[[BytesIO, str], Image.Image]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,  # without MPO, which adds frames
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_MAX_NAME_CHARS = 200
_A = {"image": "an image", "video": "a video"}

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
    """Open an image as RGB, with its EXIF orientation applied.

    Args:
        source: A path, data URI, encoded bytes, a binary file (read from its current position), a `PIL.Image` (its
            current frame), or an array (see `arrays`). URLs are refused.
        limits: Limits on the image.
        name: The name of the image in error messages; by default the path or file name.
        at_least_px: Allows decoding a JPEG at a half, a quarter or an eighth of its size, which is faster, as long as
            its longer side keeps this many pixels. None decodes at full size. The file is read completely either way.
        shorter: Apply `at_least_px` to the shorter side, as for cropping.

    Returns:
        The decoded image, mode RGB. A `PIL.Image` that is already in this form is returned as is.

    Raises:
        ImageError: The file does not exist, is not an image, is corrupt, or exceeds a limit.
    """
    name = display_name(source, name)
    if not is_encoded(source):
        return _open_pixels(source, limits, name)
    with open_stored(source, limits, name, at_least_px=at_least_px, shorter=shorter) as image:
        return _as_displayed(image, name)


def open_stored(
    source: Any,
    limits: ImageLimits = LIMITS,
    name: str | None = None,
    *,
    at_least_px: int | None = None,
    shorter: bool = False,
) -> Image.Image:
    """Open an encoded image within the limits, in the mode and orientation of its file.

    Args:
        source: As in `open_image`, except pixels. The other arguments are the same.

    Raises:
        ImageError: As in `open_image`.
    """
    name = display_name(source, name)
    data = read_encoded(source, limits.max_bytes, name)
    image = _open_header(data, limits, name)
    _check_shape(image.size, limits, name)
    if at_least_px is not None:
        shrink = at_least_px / (min if shorter else max)(image.size)
        image.draft(None, (math.ceil(image.width * shrink), math.ceil(image.height * shrink)))
    try:
        image.load()
    except (*_DECODING_ERRORS, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{name}: corrupt or truncated after {len(data):,} bytes ({error}); copy or save it again",
            ImageProblem.BROKEN,
        ) from None
    return image


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; returns `image` itself if it is upright."""
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def is_encoded(source: Any) -> bool:
    """Whether a source is an encoded file rather than pixels."""
    return isinstance(source, str | bytes | os.PathLike) or hasattr(source, "read")


def _open_pixels(source: Any, limits: ImageLimits, name: str) -> Image.Image:
    """Open a `PIL.Image` or an array."""
    if not isinstance(source, Image.Image):
        from .arrays import image_of_array, is_array

        if not is_array(source):
            raise ImageError(
                f"{name}: {type(source).__name__} is not an image; pass a path, bytes, a file, a PIL.Image or an array",
                ImageProblem.NO_IMAGE,
            )
        try:
            source = image_of_array(source)
        except ValueError as error:
            raise ImageError(f"{name}: {error}", ImageProblem.NO_IMAGE) from None
    _check_shape(source.size, limits, name)
    try:
        source.load()
    except (*_DECODING_ERRORS, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{name}: corrupt or truncated ({error}); copy or save it again", ImageProblem.BROKEN
        ) from None
    if type(source) is Image.Image and source.mode == "RGB" and not source.info and _orientation(source) == 1:
        return source
    return _as_displayed(source, name)


def format_of(head: bytes, limits: ImageLimits = LIMITS) -> str | None:
    """Detect the format from the first 16 bytes of a file: Pillow's name, or None if it is not supported."""
    return next((known for known in limits.formats if _accepts(known, head[:16])), None)


def _accepts(known: str, head: bytes) -> bool:
    accepts = Image.OPEN[known][1]
    return accepts is not None and accepts(head) is True


def read_encoded(source: Any, max_bytes: int, name: str, media: Literal["image", "video"] = "image") -> bytes:
    """Read an encoded source. At most one byte over the limit is read, because pipes have no known size.

    Raises:
        ImageError: The source cannot be read, is empty, or exceeds the limit.
    """
    try:
        data = _encoded_bytes(source, max_bytes + 1, name, media)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file; check the path", ImageProblem.MISSING) from None
    except IsADirectoryError:
        raise ImageError(f"{name}: is a directory; pass {_A[media]} file in it", ImageProblem.NO_IMAGE) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path, or a closed file
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(
            f"{name}: cannot be read ({reason}); check the path and its permissions", ImageProblem.UNREADABLE
        ) from None
    if not isinstance(data, bytes):
        raise TypeError(f"{name}: file.read() returns {type(data).__name__}, not bytes; open the file with mode 'rb'")
    if not data:
        raise ImageError(f"{name}: file is empty (0 bytes); save or copy it again", ImageProblem.EMPTY)
    if len(data) > max_bytes:
        raise ImageError(
            f"{name}: file has more than {max_bytes:,} bytes, the limit; make the {media} smaller",
            ImageProblem.TOO_LARGE,
        )
    return data


def _encoded_bytes(source: Any, max_bytes: int, name: str, media: Literal["image", "video"]) -> Any:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str) and is_data_uri(source):
        try:
            return decode_base64(base64_of(source, media))
        except ValueError as error:
            raise ImageError(f"{name}: {error}", ImageProblem.NO_IMAGE) from None
    if isinstance(source, str) and _URL.match(source):
        raise ImageError(
            f"{name}: URLs are not fetched; download the {media} and pass its path", ImageProblem.UNREADABLE
        )
    if not isinstance(source, str | os.PathLike):
        return source.read(max_bytes)
    with open(source, "rb", opener=_open_nonblocking) as file:
        # A named pipe would wait for a writer, and a device may be endless.
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ImageError(f"{name}: not a regular file; copy the {media} into one", ImageProblem.UNREADABLE)
        return file.read(max_bytes)


def _open_nonblocking(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _open_header(data: bytes, limits: ImageLimits, name: str) -> Image.Image:
    """Parse the header without decoding pixels.

    `Image.open` does this too, but rejects sizes such as 30000 x 30000 pixels before they can be reported.
    """
    known = format_of(data, limits)
    if known is None:
        raise ImageError(
            f"{name}: not an image in {', '.join(limits.formats)}; convert it to one of these",
            ImageProblem.NO_IMAGE,
        )
    try:
        stripped = strip_unused(known, data)
    except TooCostlyError as error:
        raise ImageError(f"{name}: {error}", ImageProblem.TOO_LARGE) from None
    if stripped.size is not None:
        _check_shape(stripped.size, limits, name)
    try:
        image = _READERS[known](BytesIO(stripped.data), "")
    except (*_DECODING_ERRORS, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{name}: corrupt {known} header ({error}); copy or save it again", ImageProblem.BROKEN
        ) from None
    if len(exif := image.info.get("exif", b"")) > MAX_METADATA_BYTES:
        image.info["exif"] = exif[:MAX_METADATA_BYTES]  # the orientation is at its beginning
    return image


def _check_shape(size: tuple[int, int], limits: ImageLimits, name: str) -> None:
    """Refuse sizes (width, height) that are expensive to decode or to pad to a square."""
    width, height = size
    shown = f"{name}: {width} x {height} pixels"
    if width < 1 or height < 1:
        raise ImageError(f"{shown}, an empty image; save it again", ImageProblem.BROKEN)
    if max(size) > limits.max_side:
        raise ImageError(
            f"{shown}, but a side may have at most {limits.max_side:,}; scale the image down or split it",
            ImageProblem.TOO_LARGE,
        )
    if width * height > limits.max_pixels:
        raise ImageError(
            f"{shown} = {width * height:,}, more than the limit of {limits.max_pixels:,}; scale the image down",
            ImageProblem.TOO_LARGE,
        )
    if max(size) > limits.max_aspect_ratio * min(size):
        raise ImageError(
            f"{shown}, one side more than {limits.max_aspect_ratio} times the other; split the image",
            ImageProblem.TOO_LARGE,
        )


def _as_displayed(image: Image.Image, name: str) -> Image.Image:
    """Convert a loaded image to what a viewer shows: a copy in RGB, upright."""
    turn = _UPRIGHT.get(_orientation(image))
    try:
        rgb = _rgb(image)
    except ValueError as error:  # modes that no supported format has
        raise ImageError(f"{name}: {error}; convert it to RGB", ImageProblem.NO_IMAGE) from None
    rgb.info.clear()  # EXIF may reveal where and when a photo was taken
    return rgb if turn is None else rgb.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # "I;16", "I;16B" or "I": 16-bit gray, which `convert` would clip at 255
        import numpy as np

        values = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        # Dropping alpha would reveal the hidden color, often black under black text. White is the usual page
        # background.
        rgba = image.convert("RGBA")
        rgb = Image.new("RGB", rgba.size, (255, 255, 255))
        rgb.paste(rgba, mask=rgba.getchannel("A"))
        return rgb
    # This includes CMYK, because the JPEG reader has already reverted Adobe's inversion. Color profiles are not
    # applied: the published models were trained without them, and they need another parser of untrusted data.
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 (upright) if it is missing or the block is corrupt, which viewers ignore too."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DECODING_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def display_name(source: Any, name: str | None = None) -> str:
    """The name of an image in messages: printable and of bounded length."""
    if name is None:
        name = _name_of(source)
    shown = "".join(char if char.isprintable() else "?" for char in name[: _MAX_NAME_CHARS + 1])
    return shown if len(name) <= _MAX_NAME_CHARS else shown[:_MAX_NAME_CHARS] + "…"


def _name_of(source: Any) -> str:
    if isinstance(source, str) and is_data_uri(source):
        return "image"
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) and name else "image"
