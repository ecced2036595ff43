"""Convert published EfficientNet-Lite weights in PyTorch's names (`_conv_stem.weight`, `_blocks.0._bn1.bias`, …)."""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..io.atomic_write import atomic_write
from ..io.errors import CheckpointError, listed
from ..io.hashes import save_tensors
from ..modeling.efficientnet_lite import (
    IMAGE_MEAN,
    IMAGE_STD,
    LITE_SIZES,
    EfficientNetLiteConfig,
    EfficientNetLiteModel,
)
from .foreign_weights import TensorReader, list_tensors
from .tensor_names import Rules, translate

_RULES: Rules = [
    (r"_conv_stem\.(.+)", r"stem.conv.\1"),
    (r"_bn0\.(.+)", r"stem.norm.\1"),
    (r"_conv_head\.(.+)", r"head.conv.\1"),
    (r"_bn1\.(.+)", r"head.norm.\1"),
    (r"_blocks\.(\d+)\._(expand|depthwise|project)_conv\.(.+)", r"blocks.\1.\2.conv.\3"),
    (r"_blocks\.(\d+)\._bn0\.(.+)", r"blocks.\1.expand.norm.\2"),
    (r"_blocks\.(\d+)\._bn1\.(.+)", r"blocks.\1.depthwise.norm.\2"),
    (r"_blocks\.(\d+)\._bn2\.(.+)", r"blocks.\1.project.norm.\2"),
    (r"_fc\.(.+)", r"classifier.\1"),
]


class Classifier(NamedTuple):
    """The linear classifier of the mean of the last map. It is linear in each place, so it can score places too."""

    weight: Tensor  # (classes, 1280)
    bias: Tensor  # (classes,)


def convert_efficientnet_lite(weights: Path, folder: Path, size: str = "lite0") -> Classifier:
    """Write an EfficientNet-Lite as a folder of Transformers: config, safetensors and image statistics.

    Args:
        weights: A file of published weights, `.pth` or safetensors.
        folder: Folder to write; it must not exist.
        size: A name in `LITE_SIZES`.

    Returns:
        The classifier in float32, which the encoder does not have.

    Raises:
        CheckpointError: The file is corrupt, or its tensors are not those of this size.
        OSError: The folder exists or cannot be written.
    """
    width, depth, image_size = LITE_SIZES[size]
    config = EfficientNetLiteConfig(width_coefficient=width, depth_coefficient=depth, image_size=image_size)
    reader = TensorReader()
    tensors = {_our_name(key, weights): tensor for key, tensor in list_tensors(weights).items()}
    found = {name: reader.read(tensor, torch.float32) for name, tensor in tensors.items()}
    try:
        classifier = Classifier(found.pop("classifier.weight"), found.pop("classifier.bias"))
    except KeyError as error:
        raise CheckpointError(f"{weights}: no {error.args[0]} in it; give the file of a whole classifier") from None
    model = EfficientNetLiteModel(config)
    try:
        model.load_state_dict(found)
    except RuntimeError as error:
        raise CheckpointError(f"{weights}: not an EfficientNet-{size} ({str(error).splitlines()[1].strip()})") from None
    with atomic_write(folder) as aside:
        aside.mkdir()
        config.architectures = [EfficientNetLiteModel.__name__]
        config.save_pretrained(aside)
        save_tensors(model.state_dict(), aside / "model.safetensors")
        statistics = {"image_mean": list(IMAGE_MEAN), "image_std": list(IMAGE_STD), "size": image_size}
        (aside / "preprocessor_config.json").write_text(json.dumps(statistics, indent=2) + "\n", encoding="utf-8")
    return classifier


def _our_name(key: str, weights: Path) -> str:
    try:
        return str(translate(key, _RULES))
    except ValueError:
        raise CheckpointError(f"{weights}: {listed([key])} does not belong to an EfficientNet-Lite") from None
