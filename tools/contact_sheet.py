"""Renders `docs/world.png`: every kind of synthetic scene, with training and evaluation material.

python tools/contact_sheet.py
"""

from dataclasses import replace
from pathlib import Path

from PIL import Image

from minigemini_models.scenes.composition import KINDS, sample_scene
from minigemini_models.scenes.documents import PAGE_KINDS
from minigemini_models.scenes.splits import AXES, TRAINING, SceneDomain, evaluation

OUTPUT = Path(__file__).parent.parent / "docs" / "world.png"
GAP_PX = 6
SEEDS = range(3)


def main() -> None:
    """Render one row per kind: three training scenes on the left, three with unseen material on the right."""
    small = sheet([row(kind, (TRAINING, evaluation(*AXES)), SEEDS) for kind in KINDS])
    large = sheet([row(kind, (TRAINING, evaluation(*AXES)), range(1)) for kind in PAGE_KINDS])
    large = large.resize((small.width // 2, large.height * (small.width // 2) // large.width), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (small.width + large.width + GAP_PX, max(small.height, large.height)), "white")
    both.paste(small, (0, 0))
    both.paste(large, (small.width + GAP_PX, 0))
    both = both.resize((both.width * 2 // 3, both.height * 2 // 3), Image.Resampling.LANCZOS)
    both.save(OUTPUT, optimize=True)
    print(f"{OUTPUT}: {both.width} x {both.height}, {OUTPUT.stat().st_size / 1e3:.0f} kB")


def row(kind: str, domains: tuple[SceneDomain, ...], seeds: range) -> list[Image.Image]:
    """Render scenes of one kind, without noise, which would make the file ten times as large."""
    scenes = [sample_scene(seed, kind, domain) for domain in domains for seed in seeds]
    return [replace(scene, noise=0.0).draw()[0] for scene in scenes]


def sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """Arrange images of one size in rows and columns."""
    side = rows[0][0].width + GAP_PX
    arranged = Image.new("RGB", (side * len(rows[0]) - GAP_PX, side * len(rows) - GAP_PX), "white")
    for y, images in enumerate(rows):
        for x, image in enumerate(images):
            arranged.paste(image, (x * side, y * side))
    return arranged


if __name__ == "__main__":
    main()
