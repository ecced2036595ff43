"""Renders `docs/world.png`: every kind of synthetic scene, with training and evaluation material.

python tools/contact_sheet.py
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from minigemini.images.contact_sheets import contact_sheet
from minigemini_models.scenes.composition import KINDS, sample_scene
from minigemini_models.scenes.documents import PAGE_KINDS
from minigemini_models.scenes.splits import AXES, TRAINING, evaluation

OUTPUT = Path(__file__).parent.parent / "docs" / "world.png"
SCENE_PX, PAGE_PX = 150, 250
NAMES = {
    "single": "one object",
    "few": "a few objects",
    "count": "copies to count",
    "sign": "a sign",
    "words": "several words",
    "lines": "lines of text",
    "chart": "a chart",
    "table": "a table",
}
DOMAINS = {"training": TRAINING, "unseen": evaluation(*AXES)}


def main() -> None:
    """Render one row per kind: training scenes on the left, scenes with unseen material on the right."""
    small, large = sheet(KINDS, range(3), SCENE_PX), sheet(PAGE_KINDS, range(1), PAGE_PX)
    both = Image.new("RGB", (small.width + large.width, max(small.height, large.height)), "white")
    both.paste(small, (0, 0))
    both.paste(large, (small.width, 0))
    both.save(OUTPUT, optimize=True)
    print(f"{OUTPUT}: {both.width} x {both.height}, {OUTPUT.stat().st_size / 1e3:.0f} kB")


def sheet(kinds: Sequence[str], seeds: range, side_px: int) -> Image.Image:
    """Render the scenes of some kinds, without noise, which would make the file ten times as large."""
    cells = []
    for kind in kinds:
        for domain, material in DOMAINS.items():
            scenes = [replace(sample_scene(seed, kind, material), noise=0.0) for seed in seeds]
            cells += [(scaled(scene.draw()[0], side_px), f"{NAMES[kind]}, {domain}") for scene in scenes]
    return contact_sheet(cells, len(DOMAINS) * len(seeds), side_px, caption_lines=1, text_px=12)


def scaled(image: Image.Image, side_px: int) -> Image.Image:
    """Scale an image to a square."""
    return image.resize((side_px, side_px), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
