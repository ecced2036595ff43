"""EfficientNet-Lite: the published sizes, TensorFlow's padding, and published weights under our names."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from minigemini.conversion.efficientnet_lite import convert_efficientnet_lite
from minigemini.io.errors import CheckpointError
from minigemini.modeling.efficientnet_lite import LITE_SIZES, ConvNorm, EfficientNetLiteConfig, EfficientNetLiteModel

PUBLISHED_MILLIONS = {"lite0": 4.7, "lite1": 5.4, "lite2": 6.1, "lite3": 8.2, "lite4": 13.0}
"""Parameters with the classifier of 1000 classes, as in the README of `efficientnet/lite`."""
CLASSIFIER = 1000 * 1281


def lite(size: str) -> EfficientNetLiteConfig:
    width, depth, image_size = LITE_SIZES[size]
    return EfficientNetLiteConfig(width_coefficient=width, depth_coefficient=depth, image_size=image_size)


@pytest.mark.parametrize("size", LITE_SIZES)
def test_published_sizes(size):
    with torch.device("meta"):
        model = EfficientNetLiteModel(lite(size))
    parameters = sum(parameter.numel() for parameter in model.parameters()) + CLASSIFIER
    assert parameters / 1e6 == pytest.approx(PUBLISHED_MILLIONS[size], abs=0.06)
    outputs = model(torch.empty(1, 3, 300, 260, device="meta"))
    # TensorFlow's SAME rounds up at each stride.
    assert [tuple(m.shape[-2:]) for m in outputs.hidden_states] == [(75, 65), (38, 33), (19, 17), (10, 9)]
    assert [m.shape[1] for m in outputs.hidden_states] == model.config.hidden_sizes
    assert outputs.last_hidden_state.shape == (1, 1280, 10, 9)


def test_lite0_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = EfficientNetLiteModel(EfficientNetLiteConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) + CLASSIFIER == 4_652_008


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "padding"),
    [(3, 1, 7, (1, 1)), (3, 2, 8, (0, 1)), (3, 2, 7, (1, 1)), (5, 2, 8, (1, 2)), (5, 2, 7, (2, 2)), (5, 1, 8, (2, 2))],
)
def test_padding_is_that_of_tensorflow(kernel, stride, size, padding):
    layer = ConvNorm(1, 1, kernel, stride, 1e-3, activation=False).eval()
    pixels = torch.randn(1, 1, size, size)
    padded = torch.nn.functional.pad(pixels, padding * 2)
    expected = torch.nn.functional.conv2d(padded, layer.conv.weight, stride=stride) / (1 + 1e-3) ** 0.5
    torch.testing.assert_close(layer(pixels), expected)


def published(model: EfficientNetLiteModel, classes: int = 5) -> dict[str, torch.Tensor]:
    """Weights under the names in which they are published."""
    norms = {"expand": 0, "depthwise": 1, "project": 2}
    tensors = {"_fc.weight": torch.randn(classes, 1280), "_fc.bias": torch.randn(classes)}
    for name, tensor in model.state_dict().items():
        part, *inner = name.split(".")
        if part == "blocks":
            number, layer, kind, leaf = inner
            inside = f"_{layer}_conv" if kind == "conv" else f"_bn{norms[layer]}"
            tensors[f"_blocks.{number}.{inside}.{leaf}"] = tensor
        else:
            kind, leaf = inner
            outside = f"_conv_{part}" if kind == "conv" else {"stem": "_bn0", "head": "_bn1"}[part]
            tensors[f"{outside}.{leaf}"] = tensor
    return tensors


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_weights(tmp_path, suffix):
    torch.manual_seed(0)
    original = EfficientNetLiteModel(EfficientNetLiteConfig()).eval()
    with torch.no_grad():
        for buffer in original.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    tensors = published(original)
    file = tmp_path / f"weights{suffix}"
    torch.save(tensors, file) if suffix == ".pth" else save_file(tensors, file)
    weight, bias = convert_efficientnet_lite(file, tmp_path / "encoder")
    assert torch.equal(weight, tensors["_fc.weight"])
    assert torch.equal(bias, tensors["_fc.bias"])
    loaded, report = AutoModel.from_pretrained(tmp_path / "encoder", output_loading_info=True)
    assert type(loaded) is EfficientNetLiteModel
    assert not any(report.values()), report
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(pixels).last_hidden_state, original(pixels).last_hidden_state)
    statistics = json.loads((tmp_path / "encoder" / "preprocessor_config.json").read_text())
    table = (torch.arange(256) / 255 - statistics["image_mean"][0]) / statistics["image_std"][0]
    torch.testing.assert_close(table, (torch.arange(256) - 127.0) / 128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("_fc.bias"), "no classifier.bias in it"),
        (lambda t: t.update(_swish=torch.zeros(1)), "_swish does not belong to an EfficientNet-Lite"),
        (lambda t: t.pop("_blocks.3._bn2.weight"), "not an EfficientNet-lite0 .*blocks.3.project.norm.weight"),
    ],
)
def test_other_weights_are_refused(tmp_path, change, message):
    with torch.device("meta"):
        tensors = published(EfficientNetLiteModel(EfficientNetLiteConfig()))
    tensors = {name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in tensors.items()}
    change(tensors)
    save_file(tensors, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match=message):
        convert_efficientnet_lite(tmp_path / "weights.safetensors", tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()
