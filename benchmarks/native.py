"""Counts visual tokens and encoder FLOPs of native shape and of padded squares, at equal effective resolution.

The encoders are the paper's, CLIP ViT-L/14-336 and ConvNeXt-L, on the meta device: FLOPs follow from the shapes.

    python benchmarks/native.py [benchmarks/results/native.md]
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from minigemini import MiniGeminiConfig
from minigemini.modeling.model import MiniGeminiModel
from minigemini.modeling.native_shape import DEFAULT_MAX_TILES, Grid, choose_grid

IMAGES = {  # width and height in pixels
    "A4 page at 150 dpi": (1240, 1754),
    "3:1 panorama": (3000, 1000),
    "phone screenshot": (1080, 2340),
}
TEXT = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 8}
TILE_PX, HIGH_RES_PX = 336, 768
AIM = 0.35


@dataclass(frozen=True)
class Cost:
    """What one image, or several together, cost.

    Attributes:
        pixels: pixels of the low-resolution image that show the image, not padding.
        tokens: visual tokens.
        low_res, high_res: FLOPs of the two encoders; a multiplication and an addition are two.
    """

    pixels: float
    tokens: int
    low_res: int
    high_res: int

    @property
    def encoders(self) -> int:
        return self.low_res + self.high_res

    def __add__(self, other: "Cost") -> "Cost":
        mine, theirs = vars(self).values(), vars(other).values()
        return Cost(*(one + two for one, two in zip(mine, theirs, strict=True)))


def build(**tiling: Any) -> MiniGeminiModel:
    """Build the paper's encoders and mining without memory."""
    with torch.device("meta"):
        return MiniGeminiModel(MiniGeminiConfig(text_config=TEXT, use_global_tile=True, **tiling)).eval()


@torch.no_grad()
def measure(model: MiniGeminiModel, grid: Grid, shown: float) -> Cost:
    """Encode an image of some tiles, of which a share `shown` is not padding."""

    def flops(encode: Callable[[Tensor], Any], tile_px: int) -> tuple[int, Any]:
        pixels = torch.zeros(1, 3, grid.rows * tile_px, grid.columns * tile_px, device="meta")
        with FlopCounterMode(display=False) as counter:
            features = encode(pixels)
        return counter.get_total_flops(), features

    low_res, features = flops(model.get_low_res_features, TILE_PX)
    high_res, _ = flops(model.get_high_res_stage_maps, HIGH_RES_PX)
    return Cost(shown * grid.num_tiles * TILE_PX**2, math.prod(features.shape[1:3]), low_res, high_res)


def square_side(tiles: int, shown: float) -> int:
    """Tiles per side of the padded square that shows nearly as many pixels of an image as a number of full tiles."""
    return max(1, round(math.sqrt(tiles / shown)))


def saved(native: float, square: float) -> str:
    return f"{1 - native / square:.0%}"


def report() -> str:
    """Measure all images, and write the tables."""
    native = build(max_tiles=DEFAULT_MAX_TILES)
    rows, exact, totals = [], [], [Cost(0, 0, 0, 0), Cost(0, 0, 0, 0)]
    for name, (width, height) in IMAGES.items():
        grid, shown = choose_grid(height, width, TILE_PX, DEFAULT_MAX_TILES), min(width, height) / max(width, height)
        side = square_side(grid.num_tiles, shown)
        square = build(grid_size=side, high_res_size=side * HIGH_RES_PX)
        costs = [measure(native, grid, 1.0), measure(square, Grid(side, side), shown)]
        totals = [total + cost for total, cost in zip(totals, costs, strict=True)]
        rows.append(_row(name, f"{grid.rows} x {grid.columns}", f"{side} x {side}", *costs))
        equal = grid.num_tiles / shown
        exact.append(f"| {name} | {1 - shown:.1%} | {saved(grid.num_tiles + 1, equal + 1)} |")
    rows.append(_row("all three", "", "", *totals))
    tokens, flops = (1 - getattr(totals[0], what) / getattr(totals[1], what) for what in ("tokens", "encoders"))
    met = "met" if min(tokens, flops) >= AIM else "missed"
    return _TEXT.format(
        tiles=DEFAULT_MAX_TILES,
        rows="\n".join(rows),
        exact="\n".join(exact),
        aim=f"{AIM:.0%}",
        met=met,
        tokens=f"{tokens:.1%}",
        flops=f"{flops:.1%}",
    )


def _row(name: str, native_grid: str, square_grid: str, native: Cost, square: Cost) -> str:
    cells = [name, native_grid, square_grid]
    for size, what in ((1e6, "pixels"), (1, "tokens"), (1e9, "low_res"), (1e9, "high_res")):
        ours, theirs = getattr(native, what) / size, getattr(square, what) / size
        form = "{:,.2f}" if what == "pixels" else "{:,.0f}"
        cells.append(f"{form.format(ours)} / {form.format(theirs)}")
    cells += [saved(native.tokens, square.tokens), saved(native.encoders, square.encoders)]
    return f"| {' | '.join(cells)} |"


_TEXT = """\
# Native shape against padded squares

`python benchmarks/native.py benchmarks/results/native.md`. CLIP ViT-L/14 at 336 pixels per tile and ConvNeXt-L at
768; each image has a global tile. torch's `FlopCounterMode` counts FLOPs from the shapes of all operations, so they do not
depend on the machine.

Effective resolution is the number of pixels of the low-resolution image that show the image and not padding. For each
image, `max_tiles={tiles}` is compared with the padded square whose effective resolution is nearest. Pairs are
native / square.

| image | native tiles | square tiles | megapixels shown | tokens | low-res GFLOPs | high-res GFLOPs | tokens saved | encoder FLOPs saved |
|---|---|---|---|---|---|---|---|---|
{rows}

The aim of at least {aim} fewer tokens and encoder FLOPs over the three images is {met}: {tokens} and {flops}.

A square has whole tiles, so its effective resolution differs a little. If it were exactly equal:

| image | padding of a square | tokens saved |
|---|---|---|
{exact}

No tiling can save more than the padding: an A4 page fills 71 % of a square, so 29 % is its limit, and the aim is one for
the three images together. The global tile costs as much as any other, and an image of a single tile has none.
"""  # noqa: E501

if __name__ == "__main__":
    text = report()
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text)
