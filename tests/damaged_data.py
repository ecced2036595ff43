"""Writes a dataset with known damage by row, to compare with the issues that validation reports."""

import json
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from minigemini.data.schema import SampleIssue
from minigemini.images.safe_images import ImageProblem


def image(seed: int, width: int = 96, height: int = 72) -> Image.Image:
    """Random blots of color, determined by the seed."""
    blots = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(blots).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **how) -> bytes:
    data = BytesIO()
    image.save(data, kind, **how)
    return data.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that would decode to 3.6 GB."""
    data = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 6, 0, 0, 0)
    for name, content in ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return data


def record(number: int, image: str | None, *texts: str) -> dict:
    texts = texts or (f"<image>\nWhat is it, {number}?", f"It is number {number}.")
    turns = [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]
    return {"id": f"s{number}", **({"image": image} if image else {}), "conversations": turns}


Damage = Callable[[int, Path, dict], dict | str]


def _file(change: Callable[[int], bytes | None], folder: str = "broken") -> Damage:
    def damage(number: int, images: Path, whole: dict) -> dict:
        name = f"{folder}/{number}.jpg"
        if (data := change(number)) is not None:
            (images / name).write_bytes(data)
        return {**whole, "image": name}

    return damage


DAMAGES: dict[str, Damage] = {
    ImageProblem.MISSING.value: _file(lambda number: None),
    ImageProblem.EMPTY.value: _file(lambda number: b""),
    ImageProblem.BROKEN.value: _file(lambda number: encoded(image(number))[:-400]),
    ImageProblem.TOO_LARGE.value: _file(lambda number: bomb()),
    ImageProblem.NO_IMAGE.value: _file(lambda number: b"<html>no longer here</html>"),
    SampleIssue.NOT_JSON.value: lambda n, _, whole: json.dumps(whole).replace('"value": ', '"value" ', 1),
    SampleIssue.DANGLING_TAG.value: lambda n, _, whole: record(n, None, "<image>\nWhat?", "That."),
    SampleIssue.SURPLUS_IMAGE.value: lambda n, _, whole: record(n, whole["image"], "What?", "That."),
    SampleIssue.EMPTY_ANSWER.value: lambda n, _, whole: record(n, whole["image"], "<image>\nWhat?", " "),
    SampleIssue.ROLE_ORDER.value: lambda n, _, whole: record(n, whole["image"], "<image>\nWhat?"),
    SampleIssue.UNSAFE_PATH.value: lambda n, _, whole: {**whole, "image": "../" + whole["image"]},
    "picture of an evaluation set": _file(lambda number: encoded(image(number)), "textvqa"),
}
"""Damage that excludes a sample, by the kind of issue reported for it."""


def fabricate(folder: Path, records: int, images: int, share: float, seed: int = 0) -> dict[int, str]:
    """Write `set.json` and `pictures/` with a share of the records damaged, the kinds in turn.

    Returns:
        The kind of issue expected for each damaged row.
    """
    image_folder = folder / "pictures"
    for sub in ("good", "broken", "textvqa"):
        (image_folder / sub).mkdir(parents=True, exist_ok=True)
    for number in range(images):
        (image_folder / f"good/{number}.jpg").write_bytes(encoded(image(10**9 + number)))
    chosen = np.random.default_rng(seed).permutation(records)[: round(records * share)]
    kinds = {int(row): list(DAMAGES)[n % len(DAMAGES)] for n, row in enumerate(sorted(chosen))}
    with (folder / "set.json").open("w") as file:
        for row in range(records):
            entry: dict | str = record(row, f"good/{row % images}.jpg")
            if row in kinds:
                entry = DAMAGES[kinds[row]](row, image_folder, entry)  # type: ignore[arg-type]
            file.write((",\n" if row else "[") + (entry if isinstance(entry, str) else json.dumps(entry)))
        file.write("]")
    return kinds
