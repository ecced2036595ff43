"""Models assembled from folders of every kind of encoder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_encoders import BACKBONES, VITS, encoder
from tiny_published import HIGH_RES, LOW_RES, TOKENIZERS
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    MetaClip2VisionModel,
    ResNetForImageClassification,
    SiglipConfig,
    SiglipModel,
)
from typer.testing import CliRunner

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.cli.app import app
from minigemini.conversion import NATIVE, Tiling, assemble
from minigemini.inference import CheckpointError, Engine

HALF = [0.5, 0.5, 0.5]
IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture(scope="module")
def llm(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("llm")
    sizes = {"hidden_size": 32, "intermediate_size": 4096, "num_hidden_layers": 2, "num_attention_heads": 4}
    AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=456, **sizes)).save_pretrained(folder)
    shutil.copytree(TOKENIZERS / "tok_llama_fast", folder, dirs_exist_ok=True)
    return str(folder)


def save_encoder(folder: Path, kind: str, statistics: tuple[list[float], list[float]] | None = None):
    """Save a tiny encoder of a kind as Transformers does, with its preprocessor's statistics."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(**encoder(kind))
    model_class = MetaClip2VisionModel if kind == "metaclip_2_vision_model" else MODEL_MAPPING[type(config)]
    model = model_class(config).eval()
    model.save_pretrained(folder)
    if statistics is not None:
        fields = dict(zip(("image_mean", "image_std"), statistics, strict=True))
        (folder / "preprocessor_config.json").write_text(json.dumps(fields))
    return model


def load(folder: Path) -> MiniGeminiForConditionalGeneration:
    model, report = MiniGeminiForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model


def assert_taken(tower: torch.nn.Module, original: torch.nn.Module) -> None:
    theirs = original.state_dict()
    for name, tensor in tower.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name


@pytest.mark.parametrize("kind", [*VITS, *BACKBONES])
def test_every_kind(kind, llm, tmp_path):
    original = save_encoder(tmp_path / "encoder", kind, IMAGENET)
    folder, tiling = str(tmp_path / "encoder"), Tiling(high_res_size=64, tile_size=32)
    report = assemble(llm, folder, folder, tmp_path / "new", tiling=tiling)
    assert len(report.initialized) == 16
    model = load(report.folder)
    assert_taken(model.model.vision_tower, original)
    assert_taken(model.model.high_res_vision_tower, original)
    assert (model.config.high_res_image_mean, model.config.low_res_image_mean) == (IMAGENET[0], None)


def test_another_low_res_encoder_than_clip(llm, tmp_path):
    original = save_encoder(tmp_path / "encoder", "siglip_vision_model", (HALF, HALF))
    report = assemble(llm, str(tmp_path / "encoder"), str(HIGH_RES), tmp_path / "new", tiling=Tiling(high_res_size=64))
    model = load(report.folder)
    assert_taken(model.model.vision_tower, original)
    assert (model.config.low_res_image_mean, model.config.high_res_image_mean) == (HALF, None)


def test_native_shape(llm, tmp_path, image):
    tiling = replace(NATIVE, high_res_size=64, max_tiles=4)
    report = assemble(llm, str(LOW_RES), str(HIGH_RES), tmp_path / "new", tiling=tiling, chat_format="plain")
    assert "up to 5 tiles" in (report.folder / "README.md").read_text()
    engine = Engine.load(report.folder)
    strip = image(0, 400, 100)
    inputs = engine.processor.image_processor(strip, return_tensors="pt")
    assert inputs["image_grid_thw"].tolist() == [[1, 1, 4]]
    assert engine.ask(strip, "What is in the picture?").new_tokens


def test_contradictory_tilings_are_refused(tmp_path):
    parts = ["--llm", "a", "--low-res-encoder", "b", "--high-res-encoder", "c"]
    for options, message in [
        (["--hd", "--tiling", "native"], "--hd and --tiling native contradict each other"),
        (["--max-tiles", "4"], "--max-tiles needs --tiling native"),
    ]:
        result = CliRunner().invoke(app, ["assemble", str(tmp_path / "new"), *parts, *options])
        assert result.exit_code == 2
        assert message in result.stderr


def test_several_encoders_and_their_statistics(llm, tmp_path, image):
    first = save_encoder(tmp_path / "first", "dinov3_convnext", IMAGENET)
    second = save_encoder(tmp_path / "second", "siglip_vision_model", (HALF, HALF))
    save_encoder(tmp_path / "low", "siglip_vision_model", (HALF, HALF))
    parts = (llm, str(tmp_path / "low"), [str(tmp_path / "first"), str(tmp_path / "second")])
    report = assemble(*parts, tmp_path / "new", tiling=Tiling(high_res_size=64, tile_size=16))
    model = load(report.folder)
    mixture = model.config.high_res_vision_config
    assert (mixture.image_means, mixture.image_stds) == ([IMAGENET[0], HALF], [IMAGENET[1], HALF])
    assert (model.config.high_res_image_mean, model.config.low_res_image_mean) == (IMAGENET[0], HALF)
    for tower, original in zip(model.model.high_res_vision_tower.encoders, (first, second), strict=True):
        assert_taken(tower, original)
    engine = Engine.load(report.folder)
    assert engine.processor.image_processor.low_res_image_mean == HALF
    assert engine.ask(image(0), "What is in the picture?").new_tokens


def test_whole_models_that_contain_an_encoder(llm, tmp_path):
    torch.manual_seed(0)
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {name: value for name, value in encoder("siglip_vision_model").items() if name != "model_type"}
    siglip = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    siglip.save_pretrained(tmp_path / "siglip")
    resnet = ResNetForImageClassification(AutoConfig.for_model(**encoder("resnet"), num_labels=3))
    resnet.save_pretrained(tmp_path / "resnet")
    parts = (llm, str(tmp_path / "siglip"), str(tmp_path / "resnet"))
    report = assemble(*parts, tmp_path / "new", tiling=Tiling(high_res_size=64))
    model = load(report.folder)
    assert_taken(model.model.vision_tower, siglip.vision_model)
    assert_taken(model.model.high_res_vision_tower, resnet.resnet)
    assert sum(report.unused.values()) > 10  # the text encoder, pooling heads and the classifier


def test_what_is_no_encoder_is_refused(llm, tmp_path):
    save_encoder(tmp_path / "encoder", "dinov2", ([0.5], [0.5]))
    parts = (str(tmp_path / "encoder"), str(HIGH_RES))
    with pytest.raises(CheckpointError, match=r"image_mean is \[0.5\]"):
        assemble(llm, *parts, tmp_path / "new")
    with pytest.raises(CheckpointError, match="a 'llama' is not an image encoder of a known kind"):
        assemble(llm, llm, str(HIGH_RES), tmp_path / "new")
    with pytest.raises(CheckpointError, match="lists 5 encoders"):
        assemble(llm, str(LOW_RES), [str(HIGH_RES)] * 5, tmp_path / "new")
    config = json.loads((tmp_path / "encoder" / "config.json").read_text())
    (tmp_path / "encoder" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10_000}))
    with pytest.raises(CheckpointError, match="a larger model than"):
        assemble(llm, *parts, tmp_path / "new")
    (tmp_path / "encoder" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 9}))
    with pytest.raises(CheckpointError, match=r"tensors are missing: encoder\.layer\.3"):
        assemble(llm, *parts, tmp_path / "new")
