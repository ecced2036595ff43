"""Images full of text of all sizes, for pretraining the high-resolution encoder."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .colors import BLACK, MIN_CONTRAST, WHITE, background, luminance, pick
from .dense_labels import CELL_PX, PATCH_PX, cell_labels, slot_labels
from .layouts import Box
from .lettering import Color, Letter, draw_text, in_case, text_width
from .lexicon import TextSampler
from .scene import SCENE_PX
from .splits import SceneDomain

_HEIGHTS_PX = (*range(8, 21), 22, 24, 27, 30, 34, 38, 43, 48, 56, 64)
"""Heights of capitals; a few large ones, so that a cache holds all glyphs."""
_SMALLER = 1.5
"""Exponent that makes small text more frequent: an image holds many more small letters than large ones."""
_LINE_PX = 16
"""Minimum distance of the centers of two lines: half a patch, so that no two share a row of slots."""
_MOST_CLUTTER = 12
_PALETTE = 256


def text_image(seed: int, domain: SceneDomain, patch_px: int = PATCH_PX) -> dict[str, np.ndarray]:
    """Sample an image full of text and its labels.

    Args:
        seed: any non-negative integer.
        domain: the domain of fonts and texts.
        patch_px: side of a patch; that of a cell is a quarter of it.

    Returns:
        `image` (px, px, 3) uint8; `slots` and `cells` as in `dense_labels`; `names`, `colours`, `centres`, all 0.
    """
    rng = np.random.default_rng([domain.stream, seed, 7])
    image, letters = draw_text_image(rng, domain)
    slots = slot_labels(letters, SCENE_PX, patch_px)
    nothing = np.zeros(slots.shape[:2], dtype=np.int64)
    return {
        "image": np.asarray(_add_noise(rng, image)),
        "slots": slots,
        "cells": cell_labels(letters, SCENE_PX, patch_px * CELL_PX // PATCH_PX),
        **dict.fromkeys(("names", "colours", "centres"), nothing),
    }


def draw_text_image(rng: np.random.Generator, domain: SceneDomain) -> tuple[Image.Image, list[Letter]]:
    """Draw lines of text over a cluttered background, each in its own font and size; also return their letters."""
    texts = _mostly_strings(domain.texts)
    image = Image.new("RGB", (SCENE_PX, SCENE_PX), _paper(rng, domain))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.4:
        _scatter_clutter(rng, draw)
    lowest, highest = domain.cap_heights_px
    heights = [height for height in _HEIGHTS_PX if lowest <= height <= highest]
    colors = [BLACK] if domain.black_on_white else map(tuple, rng.integers(0, 256, (_PALETTE, 3)).tolist())
    palette: Iterator[Color] = cycle(colors)
    letters: list[Letter] = []
    baseline, above = float(rng.integers(_LINE_PX)), 0
    while True:
        cap_height = heights[int(len(heights) * rng.random() ** _SMALLER)]
        gap = rng.uniform(4, 4 + cap_height / 2)
        baseline += max(cap_height + gap, _LINE_PX + (cap_height - above) / 2)
        above = cap_height
        if baseline - cap_height / 2 > SCENE_PX:
            return image, letters
        left = float(rng.uniform(-10, 40))
        font, spacing = pick(rng, domain.fonts), pick(rng, (0.0, 0.0, 0.5, 1.0))
        while left < SCENE_PX:
            text = texts.draw(rng)
            # One or two letters, such as "c" or "CO", look alike in both cases, and a small l among digits is a 1.
            text = in_case(text, pick(rng, domain.cases)) if text.isalpha() and len(text) > 2 else text
            right = left + text_width(text, font, cap_height, spacing)
            pad = round(rng.uniform(2, min(gap, 6)))
            box = (int(left) - pad, round(baseline) - cap_height - pad, round(right) + pad, round(baseline) + pad)
            ink = _place_ink(image, draw, box, palette, panel=_paper(rng, domain), needed=rng.random() < 0.3)
            letters += draw_text(draw, text, left, baseline, font, cap_height, ink, spacing)
            left = right + pad + cap_height * rng.uniform(0.5, 1.5)


def _paper(rng: np.random.Generator, domain: SceneDomain) -> Color:
    return WHITE if domain.black_on_white else background(rng, [])


def _place_ink(
    image: Image.Image, draw: ImageDraw.ImageDraw, box: Box, palette: Iterator[Color], panel: Color, needed: bool
) -> Color:
    """Return a color that is legible in a box, after drawing a panel there if it is needed or no color would be."""
    extrema: Any = image.crop(box).convert("L").getextrema()
    low, high = extrema
    if needed or high - low > 255 - 2 * MIN_CONTRAST:
        draw.rectangle(box, fill=panel)
        low = high = luminance(panel)
    for ink in islice(palette, _PALETTE):
        if not low - MIN_CONTRAST < luminance(ink) < high + MIN_CONTRAST:
            return ink
    return BLACK if low > 255 - high else WHITE


def _mostly_strings(texts: TextSampler) -> TextSampler:
    """Return a sampler of mostly random strings: the encoder must see letters instead of guessing words."""
    return replace(texts, words=texts.words / 2, strings=texts.strings * 3, lengths=(1, 8))


def _scatter_clutter(rng: np.random.Generator, draw: ImageDraw.ImageDraw) -> None:
    """Draw up to `_MOST_CLUTTER` lines, boxes and disks as distractors."""
    for _ in range(int(rng.integers(1, _MOST_CLUTTER + 1))):
        x, y = int(rng.integers(-20, SCENE_PX)), int(rng.integers(-20, SCENE_PX))
        width, height = rng.integers(4, 70, 2).tolist()
        box, color = (x, y, x + width, y + height), background(rng, [])
        match int(rng.integers(3)):
            case 0:
                draw.rectangle(box, fill=color)
            case 1:
                draw.ellipse(box, fill=color)
            case _:
                draw.line(box, fill=color, width=int(rng.integers(1, 6)))


def _add_noise(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Add sensor noise to half of the images."""
    if rng.random() < 0.5:
        return image
    pixels = np.asarray(image, dtype=np.float32) + rng.normal(0, rng.uniform(1, 8), (image.height, image.width, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
