"""Exported models answer as PyTorch does, in onnxruntime and OpenVINO.

make test-export    # installs what writes and runs exported models
"""

import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.cli.app import app
from minigemini.export.graphs import check_exportable
from minigemini.inference import CheckpointError, Conversation, Engine, RequestError, Sampling
from minigemini.inference.attention_maps import attention_maps
from minigemini.io.checkpoint import open_checkpoint

pytest.importorskip("onnxscript", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from minigemini.export import export_model, parity  # noqa: E402

HD = {"grid_size": 2, "use_global_tile": True, "high_res_size": 64}
BASELINE = {"high_res_vision_config": None}
SAMPLING = Sampling(max_new_tokens=12)


@pytest.fixture(scope="module")
def save(make_model, make_processor, tmp_path_factory):
    """Save a tiny model with changes to its config."""

    def save(**changes) -> Path:
        model, folder = make_model(**changes), tmp_path_factory.mktemp("model")
        model.save_pretrained(folder)
        make_processor(model.config).save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="module")
def exported(tiny_checkpoint, tmp_path_factory) -> Path:
    """The tiny model as ONNX; tests that break it copy it first."""
    folder = tmp_path_factory.mktemp("exported") / "tiny-onnx"
    export_model.export(tiny_checkpoint, folder, "onnx")
    return folder


def test_graphs_are_named_as_in_folders_of_onnx_community(exported):
    def ports(name: str) -> tuple[list[str], list[str]]:
        session = onnxruntime.InferenceSession(exported / "onnx" / f"{name}.onnx")
        return [port.name for port in session.get_inputs()], [port.name for port in session.get_outputs()]

    layers = [f"{layer}.{kind}" for layer in range(2) for kind in ("key", "value")]
    assert ports("vision_encoder") == (["pixel_values", "high_res_pixel_values"], ["image_features"])
    assert ports("embed_tokens") == (["input_ids"], ["inputs_embeds"])
    assert ports("decoder_model_merged") == (
        ["inputs_embeds", "attention_mask", "position_ids", *(f"past_key_values.{layer}" for layer in layers)],
        ["logits", *(f"present.{layer}" for layer in layers)],
    )


def test_axes_have_names(exported):
    session = onnxruntime.InferenceSession(exported / "onnx" / "decoder_model_merged.onnx")
    shapes = {port.name: port.shape for port in session.get_inputs()}
    assert shapes["inputs_embeds"] == ["batch_size", "sequence_length", 32]
    assert shapes["attention_mask"] == ["batch_size", "total_sequence_length"]
    assert shapes["past_key_values.0.key"] == ["batch_size", 2, "past_sequence_length", 8]


def test_conversations_continue_as_with_pytorch(tiny_checkpoint, exported, image):
    replies = []
    for folder in (tiny_checkpoint, exported):
        conversation = Conversation(Engine.load(folder, "cpu"), [image(1), image(2)], reader=None)
        replies.append([conversation.ask(question, SAMPLING).text for question in ("One?", "Two?")])
        conversation.add_image(image(3))
        replies[-1].append(conversation.ask("And this?", Sampling(max_new_tokens=12, temperature=1, seed=5)).text)
    assert replies[0] == replies[1]


def test_padded_batches_of_any_size(tiny_checkpoint, exported, image):
    original, other = (Engine.load(folder, "cpu") for folder in (tiny_checkpoint, exported))
    prompts = ["<bos><image>a", "<bos>no image in this one", "<bos><image><image>two"]
    for size in (1, 3):
        shown = [image(0)] if size == 1 else [image(0), image(1), image(2)]
        inputs = original.processor(images=shown, text=prompts[:size], padding=True, return_tensors="pt")
        expected, found = (
            engine.model.generate(**inputs, max_new_tokens=8, do_sample=False) for engine in (original, other)
        )
        assert torch.equal(expected, found)


def test_pooled_visual_tokens(tiny_checkpoint, exported, image):
    original, other = (Engine.load(folder, "cpu").model for folder in (tiny_checkpoint, exported))
    pixels = Engine.load(exported).processor.image_processor([image(0), image(1)], return_tensors="pt")
    pooling = torch.tensor([2, 1])
    ids = torch.tensor([[1, *[3] * 5, 40, 41]])  # one token of the pooled image, four of the other
    expected, found = (
        model(input_ids=ids, image_token_pooling=pooling, **pixels).logits for model in (original, other)
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    with pytest.raises(ValueError, match="the text has 4 image tokens, but the images have 5"):
        other(input_ids=ids[:, 2:], image_token_pooling=pooling, **pixels)


def test_ask_uses_the_folder_of_an_exported_model(exported, image, tmp_path):
    image(1).save(tmp_path / "noise.png")
    words = ["ask", str(tmp_path / "noise.png"), "What?", "--model", str(exported), "--max-new-tokens", "3"]
    assert CliRunner().invoke(app, words).exit_code == 0
    quantized = CliRunner().invoke(app, [*words, "--quantize", "8bit"])
    assert quantized.exit_code == 2
    assert "an exported model runs on the CPU with the weights that it has; omit quantize" in quantized.output


def test_what_needs_modules_is_refused(exported, image, tmp_path):
    engine = Engine.load(exported, "cpu")
    with pytest.raises(RequestError, match="no attention maps with an exported model"):
        attention_maps(engine, image(0))
    with pytest.raises(CheckpointError, match="an exported model has no weights for PyTorch"):
        open_checkpoint(exported)
    with pytest.raises(RequestError, match="is exported already"):
        export_model.export(exported, tmp_path / "again", "onnx")


def test_damaged_folders_are_refused(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    graph = folder / "onnx" / "embed_tokens.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"embed_tokens\.onnx"):
        Engine.load(folder)
    graph.unlink()
    with pytest.raises(CheckpointError, match=r"embed_tokens\.onnx: no such file, but other graphs are there"):
        Engine.load(folder)


def test_a_graph_that_no_runtime_reads(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    (folder / "SHA256SUMS").unlink()
    (folder / "onnx" / "embed_tokens.onnx").write_bytes(b"not a graph")
    with pytest.raises(CheckpointError, match="a graph cannot be loaded"):
        Engine.load(folder)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"max_tiles": 4}, "native shape"),
        ({"text_config": {"model_type": "mamba"}}, r"its language model \(mamba\) keeps a recurrent state"),
    ],
    ids=["native shape", "mamba"],
)
def test_models_of_other_kinds_are_refused(make_config, changes, problem):
    model = MiniGeminiForConditionalGeneration(make_config(**changes))
    with pytest.raises(RequestError, match=problem):
        check_exportable(model, "this model")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "tflite"], "--to is 'tflite'; use onnx or openvino"),
        (["--to", "onnx", "--weights", "int2"], "--weights is 'int2'; use float32 or int8"),
    ],
    ids=["to", "weights"],
)
def test_wrong_options(words, message, tmp_path):
    done = CliRunner().invoke(app, ["export", "nano", str(tmp_path / "new"), *words])
    assert (done.exit_code, done.output) == (2, f"minigemini: {message}\n")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("changes", [HD, BASELINE, {}], ids=["HD", "baseline", "base"])
def test_greedy_tokens_are_equal(save, changes, runtime, tmp_path):
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="needs the extra openvino")
        pytest.importorskip("nncf", reason="needs the extra openvino")
    result = export_model.export(save(**changes), tmp_path / "exported", runtime)
    assert result.equal_tokens == result.tokens == 24
    assert result.largest_error < 2e-5 * result.largest_logit  # worst measured 1.4e-6


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_eight_bit_weights(tiny_checkpoint, exported, runtime, tmp_path):
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="needs the extra openvino")
        pytest.importorskip("nncf", reason="needs the extra openvino")
    result = export_model.export(tiny_checkpoint, tmp_path / "small", runtime, "int8")
    assert 0 < result.largest_error < 0.1 * result.largest_logit  # worst measured 0.046
    assert Engine.load(tmp_path / "small").ask([], "Hi", SAMPLING).new_tokens > 0


@pytest.mark.slow
def test_large_weights_are_in_a_file_beside_the_graph(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("minigemini.export.onnx_format.LARGEST_FILE_BYTES", 1000)
    result = export_model.export(tiny_checkpoint, tmp_path / "large", "onnx")
    assert (tmp_path / "large" / "onnx" / "decoder_model_merged.onnx_data").stat().st_size > 50_000
    assert result.equal_tokens == result.tokens


def test_parity_counts_what_differs(tiny_checkpoint, exported, make_model, image):
    original, other = Engine.load(tiny_checkpoint, "cpu"), Engine.load(exported)
    assert parity.compare(original, other, image(0), new_tokens=4).equal_tokens == 4
    changed = Engine(make_model(), original.processor, "changed")
    with torch.no_grad():
        changed.model.lm_head.weight.neg_()
    result = parity.compare(original, changed, image(0), new_tokens=4)
    assert (result.equal_tokens, result.tokens) == (0, 4)
    assert result.largest_error > result.largest_logit
