"""Attention maps of patch info mining: which high-resolution positions of its patch each visual token attends to.

r, c  rows and columns of patches, all tiles together · M  high-res positions per side of a patch
"""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..io.argument_checks import check_type
from ..io.errors import RequestError
from .engine import Engine

PANEL_PX = (512, 1024)
"""Minimum and maximum side of an image in the figure, pixels."""
MARGIN_PX, CAPTION_PX, LEGEND_PX = 16, 28, 44
OUTLINED = 6
"""Number of patches to outline: those whose attention differs most from uniform."""

# After matplotlib's inferno: brightness increases with the value, so the map can be read in grayscale.
HEAT = np.array([(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], np.float32)
INK, PAPER, OUTLINE = (34, 34, 40), (255, 255, 255), (64, 224, 255)


class AttentionMaps:
    """Attention of patch info mining for one image.

    Attributes:
        attention: (r, c, M, M), attention of each patch over its positions; sums to 1 over the last two axes.
    """

    def __init__(self, attention: Tensor) -> None:
        self.attention = attention

    @property
    def share(self) -> Tensor:
        """Attention that each position of the image receives from its patch, (r·M, c·M)."""
        return rearrange(self.attention, "i j p q -> (i p) (j q)")

    @property
    def departure(self) -> Tensor:
        """Kullback-Leibler divergence from uniform, nats, (r, c): 0 is uniform, 2·ln M is a single position."""
        positions = self.attention.shape[-1] ** 2
        return (self.attention * (self.attention * positions).clamp_min(1e-12).log()).sum((-2, -1))


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
    return AttentionMaps(blocks), _model_view(engine, high_res[0].float().cpu())


def explain_images(engine: Engine, images: Sequence[Image.Image]) -> Image.Image:
    """Render one row per image: the image as the model sees it, and its attention heat map.

    Raises:
        RequestError: No image is given, or the model has no patch info mining.
    """
    if not images:
        raise RequestError("no image to explain; give at least one")
    for number, image in enumerate(images, start=1):
        check_type(f"image {number}", image, Image.Image, "a PIL.Image")
    rows = [render(*attention_maps(engine, image)) for image in images]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def render(maps: AttentionMaps, model_view: Image.Image) -> Image.Image:
    """Render an image and its heat map side by side, with a legend. The image is resized to the shape of the map."""
    width, height = _panel_size(*maps.share.shape)
    # In units of uniform attention, so that colors are comparable for every M; the top percent is clipped.
    relative = (maps.share * maps.attention.shape[-1] ** 2).numpy()
    top = max(2.0, float(np.quantile(relative, 0.99)))
    image = model_view.resize((width, height), Image.Resampling.BICUBIC)
    heat = _heat_over(image, relative / top)
    for panel in (image, heat):
        _outline(panel, maps.departure)
    # The captions need room beside a narrow image.
    column = max(width, PANEL_PX[0])
    size = (2 * column + 3 * MARGIN_PX, height + CAPTION_PX + LEGEND_PX + 2 * MARGIN_PX)
    sheet = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    right, body = column + 2 * MARGIN_PX, MARGIN_PX + CAPTION_PX
    pen.text((MARGIN_PX, MARGIN_PX), "input to the model", INK, font)
    pen.text((right, MARGIN_PX), "attention of mining inside each patch", INK, font)
    sheet.paste(image, (MARGIN_PX, body))
    sheet.paste(heat, (right, body))
    _legend(sheet, (right, body + height + 10), column, top, maps)
    return sheet


def _model_view(engine: Engine, pixels: Tensor) -> Image.Image:
    """Undo the normalization of one high-resolution tensor (3, hr, hr)."""
    processor = engine.processor.image_processor
    mean, std = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    array = ((pixels * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(rearrange(array, "c h w -> h w c").numpy())


def _panel_size(rows: int, columns: int) -> tuple[int, int]:
    """Choose the width and height of a panel, with whole pixels per position if they fit, so that cells are square."""
    smallest, largest = PANEL_PX
    longer = max(rows, columns)
    scale = min(largest, longer * max(1, -(-smallest // longer))) / longer
    return max(1, round(columns * scale)), max(1, round(rows * scale))


def _heat_over(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """Overlay heat (r·M, c·M), from 0 to 1, on the luminance of the image."""
    values = Image.fromarray((heat.clip(0, 1) * 255).astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)
    colors = _colors(np.asarray(values, np.float32) / 255)
    gray = np.asarray(image.convert("L"), np.float32)[..., None] / 255
    mixed = 0.75 * colors + 0.25 * 255 * gray
    return Image.fromarray(mixed.round().astype(np.uint8))


def _colors(values: np.ndarray) -> np.ndarray:
    """Map values (any shape), from 0 to 1, to colors (that shape, 3), from 0 to 255."""
    steps = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(values, steps, channel) for channel in HEAT.T], axis=-1)


def _outline(image: Image.Image, departure: Tensor) -> None:
    """Outline the patches whose attention differs most from uniform."""
    columns = departure.shape[1]
    size = image.width / columns
    pen = ImageDraw.Draw(image)
    for index in departure.flatten().topk(min(OUTLINED, departure.numel())).indices.tolist():
        row, column = divmod(index, columns)
        box = (column * size, row * size, (column + 1) * size - 1, (row + 1) * size - 1)
        pen.rectangle(box, outline=OUTLINE, width=2)


def _legend(sheet: Image.Image, corner: tuple[int, int], width: int, top: float, maps: AttentionMaps) -> None:
    """Draw the color bar with its values, and explain the outlines."""
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    left, upper = corner
    bar = min(220, width // 2 - 30)
    sheet.paste(Image.fromarray(np.repeat(_colors(np.linspace(0, 1, bar))[None], 12, 0).astype(np.uint8)), corner)
    for value in (0.0, 1.0, top) if bar / top > 14 else (0.0, top):  # skip 1 where labels would overlap
        x = left + value / top * (bar - 1)
        pen.line((x, upper + 12, x, upper + 16), INK)
        anchor = "lt" if value == 0 else "rt" if value == top else "mt"
        pen.text((x, upper + 18), f"{value:.3g}", INK, font, anchor=anchor)
    pen.text((left + bar + 8, upper - 1), "x uniform", INK, font)
    strongest, positions = maps.departure.max().item(), maps.attention.shape[-1]
    frame = (left + bar + 8, upper + 19, left + bar + 18, upper + 29)
    pen.rectangle(frame, outline=INK, fill=OUTLINE)
    text = f"least uniform (up to {strongest:.2f} of {2 * np.log(positions):.2f} nats)"
    pen.text((left + bar + 24, upper + 17), text, INK, font)
