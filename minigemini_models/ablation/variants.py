"""The variants of the ablation, and what each group of them shows.

The paper compares models that differ in one thing (arXiv 2403.18814, tables 2 and 3). Ours have the parts and
proportions of its models at a thousandth of their size, use synthetic scenes of numbers and colored objects, and are
trained from random weights in the steps of nano. Runs are shared where their recipes are equal:

    encoders    ViT and high-resolution encoder, on dense labels          a run per encoder
    language    the language model, with perfect eyes                     a run per number of tokens, and seed
    align       mining and projector                                      … per encoder, size and number of tokens
    instruct    stage 2: language model and connector                     … per variant

`findings` are the paper's comparisons: TextVQA corresponds to reading a number, MME to yes-or-no questions, and MM-Vet
to descriptions, colors, counts and positions. `grid` crosses the high-resolution image with the number of visual
tokens, to find where more of either no longer pays off. `data` leaves out each part of stage 2 in turn; the other parts
keep their samples, as in the paper. `encoders` exchanges the ConvNeXt.

Encoders are trained on images of all sizes of the grid, as CLIP has seen objects at all scales. Otherwise a resolution
would be bad because its encoder had never seen letters of that size. The number of tokens follows from the
low-resolution image, whose patches keep their 8 pixels, as in the paper (224 and 336 pixels). The language model has to
be trained for it, because the labels that it is shown are those of the tokens' own patches.

The language model learns every skill from labels before stage 2, as the paper's language models know most of what
stage 2 asks of them. So leaving data out shows what stage 2 itself adds to a skill.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import isqrt

from ..pretraining.pretraining_recipe import LOW_RES_PATCH, HighResKind

PARTS: dict[str, dict[str, int]] = {
    "reading": {"sign": 2400},
    "descriptions": {"caption": 600, "name": 200},
    "colors": {"color-lists": 200, "color-questions": 300, "color-names": 300},
    "presence": {"presence-lists": 200, "presence-questions": 300, "near-misses": 300},
    "positions": {"halves": 100, "relation-lists": 200, "relation-questions": 200, "beside": 300},
    "counting": {"counting": 500},
    "conversations": {"conversation": 500},
}
"""Parts of stage 2's data: samples by skill (`lessons.skills.SMALL_SKILLS`). Reading is the slowest to learn."""

ENCODERS: dict[str, tuple[HighResKind, int]] = {
    "convnext": ("convnext", 24),
    "convnext-narrow": ("convnext", 12),
    "convnextv2": ("convnextv2", 24),
    "swin": ("swin", 24),
    "vit": ("dinov3_vit", 24),
}
"""Kind and width of each high-resolution encoder, see `pretraining.high_res_configs`."""
ENCODER = "convnext"


@dataclass(frozen=True)
class Variant:
    """One model to compare.

    Attributes:
        name: name in reports.
        encoder: key of `ENCODERS`; None for the baseline without mining.
        high_res_size: side of the high-resolution image in pixels.
        tokens: visual tokens of an image, or of a tile.
        parts: parts of stage 2's data.
        hd: whether stage 2 extends the tokens with 2 x 2 tiles and a global tile, each of `high_res_size`. Scenes have
            256 pixels, so tiles of 128 see them at their original size.
    """

    name: str
    encoder: str | None = ENCODER
    high_res_size: int = 256
    tokens: int = 64
    parts: tuple[str, ...] = tuple(PARTS)
    hd: bool = False

    @property
    def low_res_size(self) -> int:
        """Side of the low-resolution image in pixels."""
        return LOW_RES_PATCH * isqrt(self.tokens)

    def without(self, part: str) -> "Variant":
        """Return the variant whose stage 2 lacks a part of the data."""
        return replace(self, name=f"no {part} in stage 2", parts=tuple(one for one in self.parts if one != part))


MINING = Variant("mining")
BASELINE = Variant("no mining", encoder=None)
SMALLER_IMAGE = Variant("high-resolution image of half the size", high_res_size=128)
SMALLER_ENCODER = Variant("ConvNeXt of half the width", encoder="convnext-narrow")
EXTENDED = replace(SMALLER_IMAGE, name="token extension", hd=True)

WITHOUT = {part: MINING.without(part) for part in PARTS}
"""Variants by the part of the data that they lack."""

GRID_SIZES_PX, GRID_TOKENS = (64, 128, 256), (16, 64, 256)


def _grid() -> dict[tuple[int, int], Variant]:
    """Return the variants of the grid.

    A low-resolution image is never larger than the high-resolution one that it is computed from.
    """
    named = {(one.high_res_size, one.tokens): one for one in (MINING, SMALLER_IMAGE)}
    cells = {
        (size, tokens): Variant(f"{size} pixels, {tokens} tokens", high_res_size=size, tokens=tokens)
        for size in GRID_SIZES_PX
        for tokens in GRID_TOKENS
    }
    return {cell: named.get(cell, one) for cell, one in cells.items() if one.low_res_size <= one.high_res_size}


GRID = _grid()
"""Variants by the side of the high-resolution image in pixels, and the number of visual tokens."""

GROUPS: dict[str, tuple[Variant, ...]] = {
    "findings": (
        BASELINE,
        SMALLER_IMAGE,
        SMALLER_ENCODER,
        WITHOUT["reading"],
        WITHOUT["descriptions"],
        MINING,
        EXTENDED,
    ),
    "grid": tuple(GRID.values()),
    "data": (MINING, *WITHOUT.values()),
    "encoders": (
        MINING,
        Variant("ConvNeXt V2", encoder="convnextv2"),
        Variant("Swin", encoder="swin"),
        Variant("ViT (DINOv3)", encoder="vit"),
    ),
}
"""Variants by group; some are in several."""


def variants(groups: Collection[str] = ()) -> tuple[Variant, ...]:
    """Return the variants of some groups, or of all, each once."""
    return tuple(dict.fromkeys(one for name, group in GROUPS.items() if not groups or name in groups for one in group))


@dataclass(frozen=True)
class Finding:
    """A comparison from the paper.

    Attributes:
        name: the finding in words.
        worse, better: the variants to compare.
        column: the column of our results to compare.
        paper: the paper's benchmark, and the scores of the worse and the better model.
    """

    name: str
    worse: Variant
    better: Variant
    column: str
    paper: tuple[str, float, float]


FINDINGS = (
    Finding("patch info mining improves reading", BASELINE, MINING, "reading", ("TextVQA, LR 336", 58.2, 61.5)),
    Finding(
        "so does a larger high-resolution image", SMALLER_IMAGE, MINING, "reading", ("TextVQA, LR 224", 58.1, 59.8)
    ),
    Finding(
        "so does a larger high-resolution encoder", SMALLER_ENCODER, MINING, "reading", ("TextVQA, B to L", 58.4, 61.5)
    ),
    Finding("so does data with reading (TextCaps)", WITHOUT["reading"], MINING, "reading", ("TextVQA", 59.0, 63.2)),
    Finding(
        "detailed descriptions help (ShareGPT4V)",
        WITHOUT["descriptions"],
        MINING,
        "the rest",
        ("MM-Vet", 33.8, 34.2),
    ),
    Finding("more visual tokens improve reading", SMALLER_IMAGE, EXTENDED, "reading", ("TextVQA", 65.2, 68.4)),
)
