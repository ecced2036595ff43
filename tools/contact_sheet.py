"""Draws `docs/world.png`: the kinds of picture of the drawn world, as training sees them and as evaluation does.

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
    """Rows of a kind each: three scenes of training on the left, three of unseen material on the right."""
    small = sheet([row(kind, (TRAINING, evaluation(*AXES)), SEEDS) for kind in KINDS])
    large = sheet([row(kind, (TRAINING, evaluation(*AXES)), range(1)) for kind in PAGE_KINDS])
    large = large.resize((small.width // 2, large.height * (small.width // 2) // large.width), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (small.width + large.width + GAP_PX, max(small.height, large.height)), "white")
    both.paste(small, (0, 0))
    both.paste(large, (small.width + GAP_PX, 0))
    both = both.resize((both.width * 2 // 3, both.height * 2 // 3), Image.Resampling.LANCZOS)
    both.save(OUTPUT, optimize=True)
    print(f"{OUTPUT}: {both.width} x {both.height}, {OUTPUT.stat().st_size / 1e3:.0f} kB")


def row(kind: str, materials: tuple[SceneDomain, ...], seeds: range) -> list[Image.Image]:
    """Scenes of the kind, without their noise, which would make the file ten times as large."""
    scenes = [sample_scene(seed, kind, domain) for domain in materials for seed in seeds]
    return [replace(scene, noise=0.0).draw()[0] for scene in scenes]


def sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """Pictures of one size in rows and columns."""
    side = rows[0][0].width + GAP_PX
    drawn = Image.new("RGB", (side * len(rows[0]) - GAP_PX, side * len(rows) - GAP_PX), "white")
    for y, images in enumerate(rows):
        for x, image in enumerate(images):
            drawn.paste(image, (x * side, y * side))
    return drawn


if __name__ == "__main__":
    main()
