"""A loss curve as a picture, with Pillow alone: a plotting library would be the largest dependency of all."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN, SCALE = 720, 360, 48, 2
INK, LIGHT, PALE = (30, 30, 30), (215, 215, 215), (176, 196, 232)
LINE = (40, 90, 190)


def draw_curve(path: Path, steps: Sequence[int], values: Sequence[float], title: str) -> None:
    """Draw values over steps: each one pale, their running mean over a fiftieth of the run in full colour."""
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13 * SCALE)
    low, high = min(values), max(values)
    first, last = steps[0], max(steps[-1], steps[0] + 1)
    span = (high - low) or 1.0

    def at(step: float, value: float) -> tuple[float, float]:
        x = MARGIN + (step - first) / (last - first) * (WIDTH - 1.5 * MARGIN)
        y = HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN)
        return x * SCALE, y * SCALE

    for n in range(5):
        value = low + span * n / 4
        draw.line([at(first, value), at(last, value)], fill=LIGHT, width=SCALE)
        x, y = at(first, value)
        draw.text((x - 6 * SCALE, y), f"{value:.3g}", fill=INK, font=font, anchor="rm")
    for n in range(5):
        step = first + (last - first) * n / 4
        x, y = at(step, low)
        draw.text((x, y + 8 * SCALE), f"{step:.0f}", fill=INK, font=font, anchor="mt")
    draw.text((MARGIN * SCALE, 12 * SCALE), title, fill=INK, font=font)
    window = max(1, len(values) // 50)
    means = [sum(values[max(0, n - window + 1) : n + 1]) / min(n + 1, window) for n in range(len(values))]
    for shown, color, width in ((values, PALE, SCALE), (means, LINE, 2 * SCALE)):
        points = [at(step, value) for step, value in zip(steps, shown, strict=True)]
        draw.line(points if len(points) > 1 else points * 2, fill=color, width=width)
    image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(path)
