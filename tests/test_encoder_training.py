"""Training, reports and the feature cache with encoders and projectors other than the paper's."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny_encoders import encoder, high_res
from tiny_training import losses, tiny_recipe, write_data

from minigemini.inference import CheckpointError, Engine
from minigemini.inference.model_report import report_model
from minigemini.training.feature_cache import cache_features
from minigemini.training.run import train

VOCABULARY = {
    "projector_type": "visual_vocabulary",
    "visual_vocabulary": [
        {"name": "classes", "size": 6, "source": "low_res", "context_weight": 0.5},
        {"name": "colors", "size": 4, "source": "mined"},
    ],
}
STATISTICS = {"low_res_image_mean": [0.5] * 3, "low_res_image_std": [0.25] * 3}
MODELS = {
    "mixture": {"vision_config": encoder("siglip_vision_model"), **high_res("convnext", "dinov3_vit"), **VOCABULARY},
    "batch norms": {
        "vision_config": encoder("efficientnet_lite"),
        "high_res_vision_config": encoder("resnet"),
        "high_res_size": 64,
    },
}


@pytest.fixture(scope="module")
def data(tmp_path_factory, image):
    return write_data(tmp_path_factory.mktemp("data"), image, rows=12)


@pytest.fixture(params=MODELS, scope="module")
def checkpoint(request, make_model, make_processor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    model = make_model(**MODELS[request.param], **STATISTICS)
    model.save_pretrained(folder)
    make_processor(model.config).save_pretrained(folder)
    return folder


@torch.no_grad()
def test_cached_features(checkpoint, tmp_path):
    model = Engine.load(checkpoint).model
    pixels = [torch.rand(2, 3, size, size) for size in (model.config.low_res_size, model.config.high_res_size)]
    cache_features(model, tmp_path, limit_gb=1)
    empty = model.get_image_features(*pixels).pooler_output
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 4  # two images and two encoders
    assert torch.equal(model.get_image_features(*pixels).pooler_output, empty)


def test_alignment_trains_the_connector(checkpoint, data, tmp_path):
    recipe = tiny_recipe(checkpoint, data, stage="align", features=str(tmp_path / "features"))
    train(recipe, tmp_path / "run")
    assert all(loss == loss for _, loss in losses(tmp_path / "run"))
    (result,) = (tmp_path / "run").glob("*.safetensors")
    connector, before = load_file(result), load_file(checkpoint / "model.safetensors")
    assert {name.split(".")[1] for name in connector} == {"patch_info_mining", "multi_modal_projector"}
    assert any(not torch.equal(tensor, before[name]) for name, tensor in connector.items())


def test_tuning_moves_both_encoders_but_no_statistics_of_batches(checkpoint, data, tmp_path):
    train(tiny_recipe(checkpoint, data, tune_encoders=True), tmp_path / "run")
    (result,) = (tmp_path / "run").rglob("model.safetensors")
    before, after = load_file(checkpoint / "model.safetensors"), load_file(result)
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    for tower in ("model.vision_tower.", "model.high_res_vision_tower."):
        assert any(name.startswith(tower) for name in moved)
    assert not any("running" in name or "num_batches" in name for name in moved)
    processor = json.loads((result.parent / "processor_config.json").read_text())["image_processor"]
    assert processor["low_res_image_mean"] == STATISTICS["low_res_image_mean"]


def test_bases_in_bfloat16(checkpoint, data, tmp_path):
    """As published: loaded as stored, and on a CPU trained in float32."""
    Engine.load(checkpoint).model.bfloat16().save_pretrained(tmp_path / "base")
    written = shutil.ignore_patterns("config.json", "*.safetensors")
    shutil.copytree(checkpoint, tmp_path / "base", dirs_exist_ok=True, ignore=written)
    train(tiny_recipe(tmp_path / "base", data, steps=1), tmp_path / "run")
    (result,) = (tmp_path / "run").rglob("model.safetensors")
    before, after = load_file(tmp_path / "base" / "model.safetensors"), load_file(result)
    assert {name: tensor.dtype for name, tensor in after.items()} == {name: t.dtype for name, t in before.items()}
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]) or "tower" not in name, name


def test_report_and_answer(checkpoint, image):
    report = report_model(checkpoint)
    assert report.parameters.keys() >= {"vision tower", "high-res tower", "mining", "projector", "language model"}
    assert report.tokens_per_image == 4
    assert Engine.load(checkpoint).ask(image(0), "What is it?").new_tokens


def test_other_statistics_than_the_encoders_are_refused(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "copy")
    file = tmp_path / "copy" / "processor_config.json"
    file.write_text(file.read_text().replace("0.25", "0.5"))
    with pytest.raises(CheckpointError, match=r"low_res_image_std is .*0\.5.*, but config\.json takes .*0\.25"):
        Engine.load(tmp_path / "copy")
