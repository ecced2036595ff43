"""Short clips, encoded by PyAV: each frame is one color, so that it can be told from the others."""

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO

from PIL import Image, ImageDraw

COLORS = ("red", "green", "blue", "yellow", "white", "black", "purple", "orange")


def pictures(count: int, size: tuple[int, int] = (64, 48)) -> list[Image.Image]:
    """Images that differ: a color, and a square that moves."""
    images = []
    for number in range(count):
        image = Image.new("RGB", size, COLORS[number % len(COLORS)])
        left = number * 5 % max(1, size[0] - 8)
        ImageDraw.Draw(image).rectangle((left, 4, left + 8, 12), fill=COLORS[(number + 3) % len(COLORS)])
        images.append(image)
    return images


def clip(
    images: Sequence[Image.Image], container: str = "mp4", codec: str = "libx264", rate: float = 1.0, **options: str
) -> bytes:
    """Encode images as a video without sound.

    Args:
        images: Frames, all of one even size.
        container: FFmpeg's name: mp4, webm or matroska.
        codec: FFmpeg's name of the encoder.
        rate: Frames per second.
        **options: Options of the encoder.
    """
    import av

    file = BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=Fraction(rate), options=options)
        stream.width, stream.height = images[0].size
        stream.pix_fmt = "yuv420p"
        for image in images:
            output.mux(stream.encode(av.VideoFrame.from_image(image)))
        output.mux(stream.encode())
    return file.getvalue()


def animation(images: Sequence[Image.Image], kind: str = "GIF", milliseconds: int = 1000) -> bytes:
    """Encode images as an animated GIF or a lossless animated WEBP."""
    file = BytesIO()
    more = {"lossless": True} if kind == "WEBP" else {}
    images[0].save(file, kind, save_all=True, append_images=images[1:], duration=milliseconds, **more)
    return file.getvalue()
