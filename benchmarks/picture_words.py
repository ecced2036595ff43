"""What the vision part of `small` costs for a picture in stage 2, computed and kept: visual words, and features.

    minigemini pull small && python benchmarks/picture_words.py

Processor seconds of one thread, medians of four pictures of 640 x 480 pixels.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from minigemini.inference import Engine
from minigemini.training.feature_cache import cache_features
from minigemini_models.small.picture_words import PictureWords

PICTURES = 4


def seconds(call: Callable[[int], Any]) -> float:
    """Median over the pictures, whose numbers `call` takes."""
    times = []
    for number in range(PICTURES):
        began = time.process_time()
        call(number)
        times.append(time.process_time() - began)
    return statistics.median(times)


def kilobytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / PICTURES / 1e3


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    engine = Engine.load("small", device="cpu", dtype="float32")
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)) for _ in range(PICTURES)]
    prepare = engine.processor.image_processor
    pixels = [prepare([picture], return_tensors="pt") for picture in pictures]
    print(f"resizing: {seconds(lambda number: prepare([pictures[number]], return_tensors='pt')):.4f} s")
    print("| | computed, s | kept, s | kB kept |")
    print("|---|---|---|---|")

    def encode(number: int) -> None:
        engine.model.get_image_features(**pixels[number])

    with tempfile.TemporaryDirectory() as temporary:
        words = PictureWords(engine.model, engine.processor, Path(temporary) / "words")
        words(pictures[0], PICTURES)  # digests the weights
        once, again = (seconds(lambda number: words(pictures[number], number)) for _ in range(2))
        print(f"| visual words | {once:.4f} | {again:.4f} | {kilobytes(Path(temporary) / 'words'):.0f} |")
        once = seconds(encode)
        cache_features(engine.model, Path(temporary) / "features", limit_gb=1)
        seconds(encode)
        print(f"| features | {once:.4f} | {seconds(encode):.4f} | {kilobytes(Path(temporary) / 'features'):.0f} |")


if __name__ == "__main__":
    main()
