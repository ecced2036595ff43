"""Attention maps of patch info mining: which high-resolution positions of its patch each visual token attends to.

r, c  rows and columns of patches, all tiles together · M  high-res positions per side of a patch
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageDraw
from torch import Tensor

from ..images.text_drawing import figure_font, fit_lines
from ..io.argument_checks import check_type
from ..io.errors import RequestError
from .engine import Engine

PANEL_PX = (512, 1024)
"""Minimum and maximum side of an image in the figure, pixels."""
MARGIN_PX, TITLE_PX, BAR_PX, LEGEND_PX, LINE_PX = 16, 26, 220, 110, 22
TEXT_PX, SMALL_PX = 16, 14
"""Sizes of text, pixels."""
MOST_TEXT_LINES = 4
"""Of the question, and of the answer."""
MIN_PATCH_PX = 12
"""Smaller patches are drawn without their boundaries."""
EXPLANATION = (
    "A square is a patch: one visual token of the model.",
    "The map depends on the image, not on the question.",
)

# After matplotlib's inferno: brightness increases with the value, so the map can be read in grayscale.
HEAT = np.array([(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], np.float32)
INK, FAINT, PAPER = (34, 34, 40), (105, 105, 115), (255, 255, 255)
GRID = (255, 255, 255, 70)
"""White, and its opacity of 255."""


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of patch info mining for one image.

    Attributes:
        attention: (r, c, M, M), attention of each patch over its positions; sums to 1 over the last two axes.
        content: top, left, bottom and right of the image among the patches, as shares; the rest is padding.
    """

    attention: Tensor
    content: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    @property
    def share(self) -> Tensor:
        """Attention that each position of the image receives from its patch, (r·M, c·M)."""
        return rearrange(self.attention, "i j p q -> (i p) (j q)")

    @property
    def positions(self) -> tuple[slice, slice]:
        """Rows and columns of the positions that show the image."""
        (rows, columns), (top, left, bottom, right) = self.share.shape, self.content
        up, across = min(round(top * rows), rows - 1), min(round(left * columns), columns - 1)
        return slice(up, max(up + 1, round(bottom * rows))), slice(across, max(across + 1, round(right * columns)))


@torch.no_grad()
def attention_maps(engine: Engine, image: Image.Image) -> tuple[AttentionMaps, Image.Image]:
    """Compute the attention maps of an image, and the image that the high-resolution encoder received.

    The global tile is left out.

    Raises:
        RequestError: The model has no patch info mining, or is an exported one.
    """
    engine.check_modules("attention maps")
    model = engine.model.model
    if model.patch_info_mining is None:
        raise RequestError(
            f"{engine.name} has no patch info mining (high_res_vision_config is null); use another model"
        )
    pixels = engine.processor.image_processor(image, return_tensors="pt").to(engine.device)
    rows = columns = model.config.grid_size
    low_res, high_res = pixels["pixel_values"], pixels["high_res_pixel_values"]
    if model.config.max_tiles is not None:
        _, rows, columns = pixels["image_grid_thw"][0].tolist()
        low_res, high_res = (
            rearrange(tiles, "(i j) c h w -> 1 c (i h) (j w)", i=rows, j=columns) for tiles in (low_res, high_res)
        )
    n, positions = model.config.patches_per_side, model.config.positions_per_patch
    tiles = model.get_low_res_features(low_res)[:, -rows * columns :]
    queries = rearrange(tiles, "b (i j) (h w) c -> b (i h j w) c", i=rows, j=columns, h=n, w=n)
    stage_maps = model.get_high_res_stage_maps(high_res)
    grid = (rows * n, columns * n)
    attention = model.patch_info_mining.attention_weights(queries, stage_maps, 1, grid)[0].float().cpu()
    blocks = rearrange(attention, "(i j) (p q) -> i j p q", i=rows * n, p=positions)
    content = engine.processor.image_processor.content_box(image.height, image.width)
    return AttentionMaps(blocks, content), _model_view(engine, high_res[0].float().cpu())


def explain_images(
    engine: Engine, images: Sequence[Image.Image], question: str = "", answer: str = "", *, map_only: bool = False
) -> Image.Image:
    """Render a figure: the question and answer, and of each image what the model receives and its attention heat map.

    Args:
        engine: the model.
        images: at least one.
        question, answer: written above the images; nothing if both are empty.
        map_only: leave out what the model receives.

    Raises:
        RequestError: No image is given, or the model has no patch info mining.
    """
    if not images:
        raise RequestError("no image to explain; give at least one")
    for number, image in enumerate(images, start=1):
        check_type(f"image {number}", image, Image.Image, "a PIL.Image")
    rows = [render(*attention_maps(engine, image), map_only=map_only) for image in images]
    width = max(row.width for row in rows)
    if question or answer:
        rows.insert(0, _heading(question, answer, width))
    sheet = Image.new("RGB", (width, sum(row.height for row in rows)), PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def render(maps: AttentionMaps, model_view: Image.Image, *, map_only: bool = False) -> Image.Image:
    """Render an image and its heat map side by side, with a legend and without padding.

    The image is resized to the shape of the map.
    """
    rows, columns = maps.positions
    share = maps.share[rows, columns]
    # In units of uniform attention, so that colors are comparable for every M; the top percent is clipped.
    relative = (share * maps.attention.shape[-1] ** 2).numpy()
    top = max(2.0, float(np.quantile(relative, 0.99)))
    position_px = _position_px(*share.shape)
    width, height = (max(1, round(count * position_px)) for count in reversed(share.shape))
    down, across = (size / count for size, count in zip(reversed(model_view.size), maps.share.shape, strict=True))
    box = (columns.start * across, rows.start * down, columns.stop * across, rows.stop * down)
    image = model_view.resize((width, height), Image.Resampling.BICUBIC, box)
    panels = [("Where each patch reads its details", _heat_over(image, relative / top))]
    if not map_only:
        panels.insert(0, ("What the model receives", image))
    # The legend needs room beside a narrow image.
    column, body = max(width, PANEL_PX[0]), MARGIN_PX + TITLE_PX
    size = (len(panels) * (column + MARGIN_PX) + MARGIN_PX, body + height + LEGEND_PX)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (title, panel) in enumerate(panels):
        left = MARGIN_PX + number * (column + MARGIN_PX)
        _draw_patches(
            panel, maps.attention.shape[-1] * position_px, (-columns.start * position_px, -rows.start * position_px)
        )
        pen.text((left, MARGIN_PX), title, INK, figure_font(TEXT_PX))
        sheet.paste(panel, (left, body))
    _legend(sheet, (left, body + height + 10), top)
    return sheet


def _heading(question: str, answer: str, width: int) -> Image.Image:
    """Write the question and the answer."""
    font, label_px = figure_font(TEXT_PX), 88
    lines = [
        (label if number == 0 else "", line)
        for label, text in (("Question", question), ("Answer", answer))
        for number, line in enumerate(fit_lines(text, font, width - label_px - 2 * MARGIN_PX, MOST_TEXT_LINES))
    ]
    heading = Image.new("RGB", (width, MARGIN_PX + len(lines) * LINE_PX), PAPER)
    pen = ImageDraw.Draw(heading)
    for number, (label, line) in enumerate(lines):
        pen.text((MARGIN_PX, MARGIN_PX + number * LINE_PX), label, FAINT, font)
        pen.text((MARGIN_PX + label_px, MARGIN_PX + number * LINE_PX), line, INK, font)
    return heading


def _model_view(engine: Engine, pixels: Tensor) -> Image.Image:
    """Undo the normalization of one high-resolution tensor (3, hr, hr)."""
    processor = engine.processor.image_processor
    mean, std = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    array = ((pixels * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(rearrange(array, "c h w -> h w c").numpy())


def _position_px(rows: int, columns: int) -> float:
    """Choose the side of a position: whole pixels if they fit, so that all cells are squares of one size."""
    smallest, largest = PANEL_PX
    longer = max(rows, columns)
    return min(largest / longer, max(1, -(-smallest // longer)))


def _heat_over(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Color a gray image by heat, one value per position, from 0 to 1: the hotter, the less of it shows through."""
    values = Image.fromarray((heat.clip(0, 1) * 255).astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)
    strength = np.asarray(values, np.float32) / 255
    opacity = (0.35 + 0.65 * strength)[..., None]
    gray = 0.8 * np.asarray(image.convert("L"), np.float32)[..., None]
    mixed = opacity * _colors(strength) + (1 - opacity) * gray
    return Image.fromarray(mixed.round().astype(np.uint8))


def _colors(values: np.ndarray) -> np.ndarray:
    """Map values (any shape), from 0 to 1, to colors (that shape, 3), from 0 to 255."""
    steps = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(values, steps, channel) for channel in HEAT.T], axis=-1)


def _draw_patches(panel: Image.Image, patch_px: float, corner: tuple[float, float]) -> None:
    """Draw the boundaries of patches; `corner` (x, y) is where a patch begins, left of the panel or above it."""
    if patch_px < MIN_PATCH_PX:
        return
    pen = ImageDraw.Draw(panel, "RGBA")
    for axis, size in enumerate(panel.size):
        for number in range(1, math.ceil((size - corner[axis]) / patch_px)):
            at = round(corner[axis] + number * patch_px)
            pen.line((at, 0, at, panel.height) if axis == 0 else (0, at, panel.width, at), GRID)


def _legend(sheet: Image.Image, corner: tuple[int, int], top: float) -> None:
    """Draw the color bar with its values, and say what colors and squares mean."""
    pen, font = ImageDraw.Draw(sheet), figure_font(SMALL_PX)
    left, upper = corner
    sheet.paste(Image.fromarray(np.repeat(_colors(np.linspace(0, 1, BAR_PX))[None], 12, 0).astype(np.uint8)), corner)
    for value in (0.0, 1.0, top) if BAR_PX / top > 24 else (0.0, top):  # skip 1 where labels would overlap
        x = left + value / top * (BAR_PX - 1)
        pen.line((x, upper + 12, x, upper + 16), INK)
        anchor = "lt" if value == 0 else "rt" if value == top else "mt"
        pen.text((x, upper + 19), f"{value:.2g}", INK, font, anchor=anchor)
    pen.text((left + BAR_PX + 10, upper - 2), "times an even share of attention", INK, font)
    for number, text in enumerate(EXPLANATION):
        pen.text((left, upper + 42 + number * LINE_PX), text, FAINT, font)
