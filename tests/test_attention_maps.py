"""Attention maps: they show the model's own attention at the right position in the image."""

import math
import stat

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image

from minigemini.inference import Engine, RequestError
from minigemini.inference.attention_maps import HEAT, OUTLINED, AttentionMaps, attention_maps, explain_images, render
from minigemini.io.png import write_png


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


def test_departure_from_uniform():
    attention = torch.full((2, 2, 4, 4), 1 / 16)
    attention[0, 1] = 0
    attention[0, 1, 2, 3] = 1  # all on one position
    departure = AttentionMaps(attention).departure
    assert departure[0, 1].item() == pytest.approx(math.log(16))
    assert departure[[0, 1, 1], [0, 0, 1]].abs().max() < 1e-6
    assert AttentionMaps(attention).share[2, 7] == 1


def test_the_model_view_is_the_padded_image(make_engine):
    engine = make_engine()
    _, seen = attention_maps(engine, Image.new("RGB", (64, 32), (200, 40, 40)))
    assert np.abs(np.array(seen.getpixel((16, 16))) - (200, 40, 40)).max() <= 1
    assert np.abs(np.array(seen.getpixel((16, 1))) - (122, 116, 104)).max() <= 1


def test_the_figure_shows_the_hot_position_and_outlines_its_patch():
    attention = torch.full((8, 8, 4, 4), 1 / 16)
    attention[2, 5] = 0
    attention[2, 5, 1, 1] = 1
    sheet = render(AttentionMaps(attention), Image.new("RGB", (64, 64), (128, 128, 128)))
    pixels = np.asarray(sheet).astype(int)
    brightest = 0.75 * HEAT[-1] + 0.25 * 128
    hits = np.argwhere(np.abs(pixels - brightest).max(-1) <= 2)
    center = hits.mean(0) - (16 + 28, 16 + 512 + 16)  # the corner of its panel
    cell = 512 / 32
    assert np.abs(center - ((2 * 4 + 1.5) * cell, (5 * 4 + 1.5) * cell)).max() < cell
    assert OUTLINED < 64


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
