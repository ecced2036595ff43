"""Feature cache: the result does not depend on the cache, and no image is encoded twice."""

import errno
import shutil
from types import SimpleNamespace

import pytest
import torch
from tiny_training import losses, tiny_recipe, write_data

from minigemini.training import feature_cache
from minigemini.training.feature_cache import cache_features
from minigemini.training.run import train
from minigemini.training.settings import RecipeError


@pytest.fixture(scope="module")
def data(tmp_path_factory, image):
    return write_data(tmp_path_factory.mktemp("data"), image)


def pixels_for(config):
    generator = torch.Generator().manual_seed(0)
    sizes = config.low_res_size, config.high_res_size
    return tuple(torch.rand(3, 3, size, size, generator=generator) for size in sizes)


@pytest.fixture
def pixels(make_config):
    return pixels_for(make_config())


def cached_files(folder):
    return sorted(folder.glob("*/*.safetensors"))


def visual_tokens(model, pixels):
    with torch.no_grad():
        return model.model.get_image_features(*pixels).pooler_output


def forbid_encoding(model, monkeypatch):
    def encode(*args, **kwargs):
        raise AssertionError("an image was encoded again")

    for kind in ("low_res_kind", "high_res_kind"):
        monkeypatch.setattr(model.model, kind, SimpleNamespace(encode=encode, encode_tokens=encode))


def test_training_does_not_depend_on_the_cache(tiny_checkpoint, data, tmp_path):
    recipe = tiny_recipe(tiny_checkpoint, data, features=str(tmp_path / "kept"))
    train(recipe, tmp_path / "empty")
    files = cached_files(tmp_path / "kept")
    assert len(files) == 8  # four images and two encoders
    train(recipe, tmp_path / "full")
    for file in files[::2]:
        file.unlink()
    train(recipe, tmp_path / "half")
    assert losses(tmp_path / "empty") == losses(tmp_path / "full") == losses(tmp_path / "half")
    train(tiny_recipe(tiny_checkpoint, data), tmp_path / "without")
    for (_, rounded), (_, exact) in zip(losses(tmp_path / "empty"), losses(tmp_path / "without"), strict=True):
        assert rounded == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("geometry", [{}, {"grid_size": 2, "use_global_tile": True, "high_res_size": 64}])
def test_each_image_is_encoded_once(make_model, tmp_path, monkeypatch, geometry):
    model = make_model(**geometry)
    pixels = pixels_for(model.config)
    plain = visual_tokens(model, pixels)
    cache_features(model, tmp_path, limit_gb=1)
    first = visual_tokens(model, pixels)
    torch.testing.assert_close(first, plain, rtol=0.05, atol=0.05)
    forbid_encoding(model, monkeypatch)
    # Equal to rounding: kernels depend on the processor and on tensor alignment.
    torch.testing.assert_close(visual_tokens(model, pixels), first, rtol=1e-4, atol=1e-5)
    flipped = visual_tokens(model, tuple(p.flip(0) for p in pixels))
    torch.testing.assert_close(flipped, first.flip(0), rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError, match="encoded again"):
        visual_tokens(model, (pixels[0] + 0.01, pixels[1]))


def test_cache_key_includes_the_weights(make_model, pixels, tmp_path):
    model = make_model()
    cache_features(model, tmp_path, limit_gb=1)
    visual_tokens(model, pixels)
    other = make_model()
    with torch.no_grad():
        next(other.model.high_res_vision_tower.parameters()).add_(0.1)
    exact = visual_tokens(other, pixels)
    cache_features(other, tmp_path, limit_gb=1)
    torch.testing.assert_close(visual_tokens(other, pixels), exact, rtol=0.05, atol=0.05)
    assert len(cached_files(tmp_path)) == 9  # three of the shared ViT, three of each ConvNeXt


def test_damaged_file_is_replaced(make_model, pixels, tmp_path):
    model = make_model()
    cache_features(model, tmp_path, limit_gb=1)
    first = visual_tokens(model, pixels)
    for file in cached_files(tmp_path):
        file.write_bytes(file.read_bytes()[:-7])
    assert torch.equal(visual_tokens(model, pixels), first)
    sizes = {file: file.stat().st_size for file in cached_files(tmp_path)}
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    visual_tokens(model, pixels)
    assert sizes == {file: file.stat().st_size for file in cached_files(tmp_path)}


def test_folder_stays_below_its_limit(make_model, pixels, tmp_path):
    model = make_model()
    cache_features(model, tmp_path / "all", limit_gb=1)
    visual_tokens(model, pixels)
    sizes = sorted(file.stat().st_size for file in cached_files(tmp_path / "all"))
    small = make_model()
    cache_features(small, tmp_path / "few", limit_gb=(sum(sizes) - sizes[0]) / 1e9)
    assert torch.equal(visual_tokens(small, pixels), visual_tokens(model, pixels))
    assert 0 < len(cached_files(tmp_path / "few")) < 6


def test_full_disk_disables_the_cache_only(make_model, pixels, tmp_path, monkeypatch, capsys):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(feature_cache, "save_file", full)
    model = make_model()
    cache_features(model, tmp_path, limit_gb=1)
    visual_tokens(model, pixels)
    assert capsys.readouterr().err.count("feature cache disabled (") == 1
    assert not cached_files(tmp_path)


def test_tuned_encoders_are_rejected(tiny_checkpoint, data):
    with pytest.raises(RecipeError, match="leave features out"):
        tiny_recipe(tiny_checkpoint, data, features="kept", tune_encoders=True)
