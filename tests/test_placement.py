"""Quantization and device maps: which weights change, unchanged answers, and one-line errors."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.images.safe_images import open_image
from minigemini.inference import CheckpointError, Engine, RequestError, Sampling, quantization_config
from minigemini.inference.attention_maps import attention_maps
from minigemini.io import placement
from minigemini_models.nano import NANO_DIR

EXAMPLES = Path(__file__).parent.parent / "examples"
QUESTIONS = [
    ("sign.png", "What does the sign say?"),
    ("sign.png", "What is the orange thing?"),
    ("diamond.png", "What is this?"),
    ("hearts.png", "How many hearts are there?"),
    ("things.png", "Describe the picture."),
]
SHORT = Sampling(max_new_tokens=12)
# One that its rows and columns can be cut for bitsandbytes' 4-bit kernel on CPUs.
WIDE = {"hidden_size": 64, "intermediate_size": 128}


@pytest.fixture(scope="module")
def nano() -> Engine:
    return Engine.load("nano", device="cpu")


@pytest.fixture(scope="module")
def nano_8bit() -> Engine:
    return Engine.load("nano", device="cpu", quantize="8bit")


@pytest.fixture
def wide_checkpoint(make_model, make_processor, tmp_path) -> Path:
    model = make_model(text_config=WIDE)
    model.save_pretrained(tmp_path / "wide")
    make_processor(model.config).save_pretrained(tmp_path / "wide")
    return tmp_path / "wide"


def answers(engine: Engine) -> list[str]:
    return [engine.ask(EXAMPLES / image, question).text for image, question in QUESTIONS]


@torch.no_grad()
def logits(engine: Engine) -> torch.Tensor:
    """Of the prompt about the sign."""
    content = [{"type": "image", "image": open_image(EXAMPLES / "sign.png")}, {"type": "text", "text": "What?"}]
    chat = [{"role": "user", "content": content}]
    inputs = engine.processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")
    return engine.model(**inputs.to(engine.device)).logits.float()


# Quantised


@pytest.mark.parametrize(("way", "stored"), [("8bit", torch.int8), ("4bit", torch.uint8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_linears_of_the_language_model_are_quantized(wide_checkpoint, image, way, stored, dtype):
    engine = Engine.load(wide_checkpoint, device="cpu", dtype=dtype, quantize=way)
    for name, module in engine.model.named_modules():
        kinds = {parameter.dtype for parameter in module.parameters(recurse=False)}
        if name.startswith("model.language_model.") and isinstance(module, nn.Linear):
            assert kinds == {stored}, name
        elif kinds:
            assert kinds == {dtype}, name
    assert engine.ask(image(0), "What?", SHORT).new_tokens > 0


def test_nano_in_8_bits_answers_the_same(nano, nano_8bit):
    assert answers(nano_8bit) == answers(nano)
    whole, rounded = logits(nano), logits(nano_8bit)
    # measured: 0.0045 of the logits' root mean square; bfloat16 has 0.0079
    assert (rounded - whole).square().mean().sqrt() < 0.01 * whole.square().mean().sqrt()


@pytest.mark.parametrize("way", ["8bit", "4bit"])
def test_quantized_checkpoints_load(wide_checkpoint, tmp_path, image, way):
    engine = Engine.load(wide_checkpoint, device="cpu", quantize=way)
    engine.model.save_pretrained(tmp_path / way)
    engine.processor.save_pretrained(tmp_path / way)
    again = Engine.load(tmp_path / way, device="cpu")
    torch.testing.assert_close(logits(again), logits(engine), rtol=1e-4, atol=1e-5)
    with pytest.raises(RequestError, match=f"weights are saved in {way}"):
        Engine.load(tmp_path / way, device="cpu", quantize="4bit" if way == "8bit" else "8bit")


def test_transformers_quantizes_with_the_same_config(nano_8bit):
    config = quantization_config("8bit", torch.float32)
    model = MiniGeminiForConditionalGeneration.from_pretrained(
        NANO_DIR, dtype=torch.float32, quantization_config=config, device_map={"": "cpu"}
    )
    assert torch.equal(logits(Engine(model, nano_8bit.processor, "nano")), logits(nano_8bit))


def test_quantization_config_for_gpus():
    """It cannot run here; the configuration is the same on every device."""
    assert quantization_config("8bit").load_in_8bit
    four = quantization_config("4bit", torch.bfloat16)
    assert (four.load_in_4bit, four.bnb_4bit_quant_type, four.bnb_4bit_compute_dtype) == (True, "nf4", torch.bfloat16)
    arguments = placement.Placement(torch.device("cuda:1"), torch.bfloat16, "4bit").arguments()
    assert arguments["device_map"] == {"": torch.device("cuda:1")}
    assert arguments["quantization_config"].to_dict() == four.to_dict()


def test_nano_is_too_narrow_for_4_bits_on_a_cpu():
    with pytest.raises(RequestError, match="from 256 to 688; use 8bit"):
        Engine.load("nano", device="cpu", quantize="4bit")


@pytest.mark.parametrize(
    "changes",
    [{"quant_method": "gptq"}, {"llm_int8_skip_modules": ["lm_head"]}, {"load_in_8bit": "x"}, {"text_config": {}}],
)
def test_foreign_quantized_checkpoints_are_refused(tiny_checkpoint, tmp_path, changes):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = quantization_config("8bit").to_dict() | changes
    if "text_config" in changes:
        config["text_config"]["quantization_config"] = config.pop("quantization_config")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="quantization_config that is not ours"):
        Engine.load(folder)


# Placed


@pytest.mark.parametrize("most", ["1MB", "12MB"])
def test_weights_on_disk_give_the_same_answers(nano, image, tmp_path, most):
    """With 1 MB the first parameter lies on disk, where `model.device` is no device that inputs could go to."""
    placed = Engine.load("nano", device_map="auto", max_memory={"cpu": most}, offload_folder=tmp_path / "offload")
    assert "disk" in placed.model.hf_device_map.values()
    assert placed.device.type == "cpu"
    assert torch.equal(logits(placed), logits(nano))
    if most == "1MB":
        picture_and_question = EXAMPLES / "sign.png", "What does the sign say?"
        assert placed.ask(*picture_and_question).text == nano.ask(*picture_and_question).text
    assert torch.equal(attention_maps(placed, image(0))[0].attention, attention_maps(nano, image(0))[0].attention)


def test_device_map_without_disk(nano):
    placed = Engine.load("nano", device_map="auto")
    assert torch.equal(logits(placed), logits(nano))


# What cannot be


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"quantize": "2bit"}, "quantize '2bit' is unknown; use 8bit or 4bit"),
        ({"device": "cpu", "device_map": "auto"}, "exclude each other"),
        ({"device_map": "everywhere"}, "device_map 'everywhere' is unknown; use auto"),
        ({"offload_folder": "somewhere"}, "belong to a device_map"),
        ({"device_map": "auto", "offload_folder": __file__}, "is a file; name a folder"),
        ({"device_map": "auto", "max_memory": {"cpu": "12MB"}, "quantize": "8bit"}, "device_map auto failed"),
    ],
)
def test_impossible_placements_are_one_line_errors(asked, message):
    with pytest.raises(RequestError, match=message) as caught:
        Engine.load("nano", **asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("asked", [{"quantize": "8bit", "device": "cpu"}, {"device_map": "auto"}])
def test_missing_library_error_names_the_extra(monkeypatch, asked):
    for library in ("accelerate", "bitsandbytes"):
        monkeypatch.setitem(sys.modules, library, None)
    extra = "quantize" if "quantize" in asked else "accelerate"
    with pytest.raises(RequestError, match=rf"pip install 'minigemini\[{extra}\]'"):
        Engine.load("nano", **asked)
