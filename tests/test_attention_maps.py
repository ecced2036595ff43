"""Attention maps: they show the model's own attention at the right position in the image."""

import stat

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image

from minigemini.inference import Engine, RequestError
from minigemini.inference.attention_maps import (
    HEAT,
    LINE_PX,
    MARGIN_PX,
    MOST_TEXT_LINES,
    TITLE_PX,
    AttentionMaps,
    attention_maps,
    explain_images,
    render,
)
from minigemini.io.png import write_png

BODY = MARGIN_PX + TITLE_PX
"""Where panels begin, pixels."""


@pytest.fixture(scope="module")
def make_engine(make_model, make_processor):
    def make(**changes) -> Engine:
        model = make_model(**changes)
        return Engine(model, make_processor(model.config), "tiny")

    return make


@pytest.fixture(scope="module", params=[{}, {"grid_size": 2, "use_global_tile": True, "high_res_size": 64}])
def engine(make_engine, request) -> Engine:
    return make_engine(**request.param)


def test_shares_are_a_softmax_over_each_patch(engine, image):
    mining, seen = attention_maps(engine, image(0))
    config = engine.model.config
    side = config.patches_per_side * config.grid_size
    assert mining.attention.shape == (side, side, config.positions_per_patch, config.positions_per_patch)
    assert mining.share.shape == (config.high_res_size // 4,) * 2
    assert seen.size == (config.high_res_size,) * 2
    torch.testing.assert_close(mining.attention.sum((-2, -1)), torch.ones(side, side))


def test_patches_are_at_their_position_in_the_image(engine, image):
    """The attention of each single tile equals its part of the complete map."""
    model = engine.model.model
    grid, n = model.config.grid_size, model.config.patches_per_side
    pixels = engine.processor.image_processor(image(0), return_tensors="pt")
    tiles = model.get_low_res_features(pixels["pixel_values"])[0, -(grid**2) :]
    whole, _ = attention_maps(engine, image(0))
    for index, tile in enumerate(tiles):
        row, column = divmod(index, grid)
        queries = torch.zeros(grid * n, grid * n, tile.shape[-1])
        queries[row * n : (row + 1) * n, column * n : (column + 1) * n] = rearrange(tile, "(h w) c -> h w c", h=n)
        with torch.no_grad():
            maps = model.get_high_res_stage_maps(pixels["high_res_pixel_values"])
            alone = model.patch_info_mining.attention_weights(rearrange(queries, "h w c -> 1 (h w) c"), maps)
        alone = rearrange(alone[0], "(h w) m -> h w m", h=grid * n)[
            row * n : (row + 1) * n, column * n : (column + 1) * n
        ]
        part = rearrange(whole.attention, "h w p q -> h w (p q)")[
            row * n : (row + 1) * n, column * n : (column + 1) * n
        ]
        torch.testing.assert_close(part, alone)  # measured: 1e-7


def test_the_attention_reproduces_the_mined_features(engine, image):
    """Values weighted by the attention give the mined features."""
    model = engine.model.model
    pixels = engine.processor.image_processor(image(0), return_tensors="pt")
    with torch.no_grad():
        features = model.get_image_features(**pixels)
        maps = model.get_high_res_stage_maps(pixels["high_res_pixel_values"])
    size = maps[0].shape[-2:]
    full = torch.cat([torch.nn.functional.interpolate(m, size=size, mode="bilinear") for m in maps], 1)[0]
    grid, n = model.config.grid_size, model.config.patches_per_side
    blocks = rearrange(full, "c (i p) (j q) -> i j (p q) c", i=grid * n, j=grid * n)
    mining, _ = attention_maps(engine, image(0))
    with torch.no_grad():
        values = model.patch_info_mining.value_proj(blocks)
    mined = torch.einsum("ijp,ijpc->ijc", rearrange(mining.attention, "i j p q -> i j (p q)"), values)
    mined = rearrange(mined, "(i h) (j w) c -> (i j h w) c", i=grid, j=grid)
    torch.testing.assert_close(mined, features.mined_features[0, -len(mined) :], atol=1e-5, rtol=1e-5)  # measured: 1e-6


def test_the_model_view_is_the_padded_image(make_engine):
    engine = make_engine()
    _, seen = attention_maps(engine, Image.new("RGB", (64, 32), (200, 40, 40)))
    assert np.abs(np.array(seen.getpixel((16, 16))) - (200, 40, 40)).max() <= 1
    assert np.abs(np.array(seen.getpixel((16, 1))) - (122, 116, 104)).max() <= 1


def test_the_figure_shows_the_hot_position():
    attention = torch.full((8, 8, 4, 4), 1 / 16)
    attention[2, 5] = 0
    attention[2, 5, 1, 1] = 1
    sheet = render(AttentionMaps(attention), Image.new("RGB", (64, 64), (128, 128, 128)))
    hits = np.argwhere((np.asarray(sheet) == HEAT[-1]).all(-1))
    panel = hits[hits[:, 0] < BODY + 512]  # the legend's color bar is below it
    center = panel.mean(0) + 0.5 - (BODY, MARGIN_PX + 512 + MARGIN_PX)
    cell = 512 / 32
    assert len(panel) == cell**2
    assert center.tolist() == [(2 * 4 + 1.5) * cell, (5 * 4 + 1.5) * cell]


def test_the_figure_has_no_padding(make_engine):
    """An image twice as wide as high fills half of the square that the model receives."""
    engine, red = make_engine(), Image.new("RGB", (64, 32), (200, 40, 40))
    maps, seen = attention_maps(engine, red)
    assert maps.content == (0.25, 0.0, 0.75, 1.0)
    panel = np.asarray(render(maps, seen))[BODY:, MARGIN_PX : MARGIN_PX + 512].astype(int)
    is_image = (panel[..., 0] > panel[..., 1] + 50).all(1)
    assert is_image.sum() == 256
    assert is_image[:256].all()
    assert (panel[300:] >= 250).all(), "below it the sheet is empty"


@pytest.mark.parametrize("size", [(64, 32), (32, 64), (90, 12), (31, 64), (64, 64)])
def test_content_is_where_the_processor_puts_the_image(make_engine, size):
    for engine in (make_engine(), make_engine(max_tiles=4)):
        processor = engine.processor.image_processor
        _, seen = attention_maps(engine, Image.new("RGB", size, (255, 0, 0)))
        top, left, bottom, right = processor.content_box(size[1], size[0])
        red = np.argwhere(np.asarray(seen)[..., 0] > 200)
        ends = (*red.min(0), *(red.max(0) + 1))
        expected = (top * seen.height, left * seen.width, bottom * seen.height, right * seen.width)
        assert np.abs(np.array(ends) - expected).max() <= 1.5, (engine.model.config.max_tiles, ends, expected)


def test_question_and_answer_are_above_the_images(make_engine, image):
    engine = make_engine()
    plain = explain_images(engine, [image(0)], map_only=True)
    asked = explain_images(engine, [image(0)], "What does it say? " * 40, "\x1b[31mÉté", map_only=True)
    height = asked.height - plain.height
    assert asked.width == plain.width
    assert height == MARGIN_PX + (MOST_TEXT_LINES + 1) * LINE_PX
    assert asked.crop((0, height, *asked.size)).tobytes() == plain.tobytes()
    assert explain_images(engine, [image(0)]).width > plain.width, "with what the model receives"


def test_images_are_stacked_and_written_atomically(make_engine, image, tmp_path):
    engine = make_engine()
    sheet = explain_images(engine, [image(0), image(1)])
    assert sheet.height == 2 * explain_images(engine, [image(0)]).height
    write_png(sheet, tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").tobytes() == sheet.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    assert (tmp_path / "out.png").stat().st_mode & stat.S_IRUSR


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "out.png").write_text("before")
    monkeypatch.setattr(
        Image.Image, "save", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(RequestError, match=r"out\.png: cannot be written \(No space left"):
        write_png(Image.new("RGB", (1, 1)), tmp_path / "out.png")
    assert (tmp_path / "out.png").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_model_without_mining_is_refused(make_engine, image):
    with pytest.raises(RequestError, match="no patch info mining"):
        attention_maps(make_engine(high_res_vision_config=None), image(0))
