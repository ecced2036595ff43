"""Crops full of text, for pretraining the high-resolution encoder."""

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from .colors import BLACK, WHITE, background, contrasting, pick
from .dense_labels import cell_labels, slot_labels
from .lettering import Color, Letter, draw_text, text_width
from .lexicon import TextSampler
from .splits import TRAINING, SceneDomain

CROP_PX = 128


def draw_text_crop(
    rng: np.random.Generator, size_px: int = CROP_PX, domain: SceneDomain = TRAINING
) -> tuple[Image.Image, list[Letter]]:
    """Draw lines of random strings and words on a cluttered background; returns the image and its letters."""
    texts = mostly_strings(domain.texts)
    ground = WHITE if domain.black_on_white else background(rng, [])
    image = Image.new("RGB", (size_px, size_px), ground)
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.4:
        scatter_clutter(rng, draw, size_px)
    letters: list[Letter] = []
    top = float(rng.integers(-8, 12))
    while top < size_px:
        cap_height = int(rng.integers(domain.cap_heights_px[0], domain.cap_heights_px[1] + 1))
        if rng.random() < 0.85:
            letters += _draw_line(rng, draw, ground, top, cap_height, size_px, replace(domain, texts=texts))
        top += cap_height + rng.integers(4, 14)
    return add_noise(rng, image), letters


def text_crop(seed: int, size_px: int = CROP_PX, domain: SceneDomain = TRAINING) -> dict[str, np.ndarray]:
    """Sample a text crop: `image` (px, px, 3) uint8, and `slots` and `cells` as in `dense_labels`."""
    image, letters = draw_text_crop(np.random.default_rng([1, seed]), size_px, domain)
    return {"image": np.asarray(image), "slots": slot_labels(letters, size_px), "cells": cell_labels(letters, size_px)}


def mostly_strings(texts: TextSampler) -> TextSampler:
    """Return a sampler of mostly random strings: the encoder must see letters instead of guessing words."""
    return replace(texts, words=texts.words / 2, strings=texts.strings * 3, lengths=(1, 8))


def _draw_line(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    ground: Color,
    top: float,
    cap_height: int,
    width_px: int,
    domain: SceneDomain,
) -> list[Letter]:
    letters: list[Letter] = []
    font = pick(rng, domain.fonts)

    def ink(behind: Color) -> Color:
        return BLACK if domain.black_on_white else contrasting(rng, behind)

    left = float(rng.integers(-10, 30))
    color, behind = ink(ground), ground
    spacing = pick(rng, (0.0, 0.0, 0.5, 1.0))
    while left < width_px:
        text = domain.texts.draw(rng)
        width = text_width(text, font, cap_height, spacing)
        if rng.random() < 0.3:
            behind = ground if domain.black_on_white else background(rng, [])
            pad = int(rng.integers(2, 6))
            draw.rectangle((left - pad, top - pad, left + width + pad, top + cap_height + pad), fill=behind)
            color = ink(behind)
        letters += draw_text(draw, text, left, top + cap_height, font, cap_height, color, spacing)
        behind, color = ground, ink(ground)
        left += width + cap_height * rng.uniform(0.5, 1.5)
    return letters


def scatter_clutter(rng: np.random.Generator, draw: ImageDraw.ImageDraw, size_px: int, most: int = 5) -> None:
    """Draw up to `most` lines, boxes and disks as distractors."""
    for _ in range(int(rng.integers(1, most + 1))):
        x, y = int(rng.integers(-20, size_px)), int(rng.integers(-20, size_px))
        width, height = rng.integers(4, 70, 2).tolist()
        box, color = (x, y, x + width, y + height), background(rng, [])
        match int(rng.integers(3)):
            case 0:
                draw.rectangle(box, fill=color)
            case 1:
                draw.ellipse(box, fill=color)
            case _:
                draw.line(box, fill=color, width=int(rng.integers(1, 6)))


def add_noise(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Add sensor noise to half of the images."""
    if rng.random() < 0.5:
        return image
    pixels = np.asarray(image, dtype=np.float32) + rng.normal(0, rng.uniform(1, 8), (image.height, image.width, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
