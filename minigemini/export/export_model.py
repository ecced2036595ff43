"""Exports a checkpoint: loads it, writes the graphs and what belongs to them, and compares the result."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError

from ..inference import Engine
from ..io.atomic_write import atomic_write
from ..io.errors import RequestError, one_line
from ..io.exported_files import check_export, find_exported, graph_files
from ..io.folder_lock import output_lock
from ..io.hashes import write_sums
from ..io.merging import check_target
from .graphs import graphs_of
from .onnx_format import write_onnx
from .openvino_format import write_openvino
from .parity import Parity, compare, example_image

TOLERANCE = 1e-3
"""Largest difference of a logit with float32 weights, relative to the largest logit. Measured: up to 5e-6."""

_CARD = """\
---
library_name: {runtime}
pipeline_tag: image-text-to-text
---

# {name}

`{model}` for {runtime}, with {weights} weights:

    minigemini export {model} {name} --to {runtime}{option}
    minigemini ask photo.png "What is in the picture?" --model {name}

Compared with PyTorch in float32, {parity}.

The license of `{model}` applies.
"""


def export(
    model: str | os.PathLike[str],
    target: str | os.PathLike[str],
    runtime: str,
    weights: str = "float32",
    base: str | os.PathLike[str] | None = None,
) -> Parity:
    """Export a checkpoint or an adapter with its base, and write the folder atomically.

    Args:
        model: A model as for `Engine.load`.
        target: The folder to create. Its parent must exist.
        runtime: `onnx` or `openvino`.
        weights: `float32` or `int8`.
        base: The base model of an adapter; by default the one that the adapter names.

    Returns:
        How the exported model differs from the original, in the answer to one question.

    Raises:
        CheckpointError: The model is missing or invalid.
        RequestError: A package is missing, the model is of a kind that cannot be exported, the folder cannot be
            written, or the logits with float32 weights are not those of the original.
        FolderInUseError: Another process is writing the folder.
    """
    check_export(runtime, weights)
    if find_exported(model) is not None:
        raise RequestError(f"{os.fspath(model)} is exported already; name the checkpoint that it was exported from")
    target = Path(target).expanduser()
    check_target(target)
    with output_lock(target):
        check_target(target)  # another process may have created it
        original = Engine.load(model, "cpu", torch.float32, base=base)
        try:
            with atomic_write(target) as aside:
                return _write(original, aside, runtime, weights)
        except (OSError, SafetensorError) as error:
            raise RequestError(f"{target}: cannot be written ({one_line(error)}); name a folder elsewhere") from None


def _write(original: Engine, folder: Path, runtime: str, weights: str) -> Parity:
    # 1. The graphs.
    write = write_onnx if runtime == "onnx" else write_openvino
    files = graph_files(folder, runtime, weights)
    for graph in graphs_of(original.model, weights, original.name):
        files[graph.name].parent.mkdir(parents=True, exist_ok=True)
        write(graph, files[graph.name], weights)

    # 2. Config, processor and tokenizer.
    original.model.config.save_pretrained(folder)
    original.model.generation_config.save_pretrained(folder)
    original.processor.save_pretrained(folder)

    # 3. Compare, then describe.
    parity = compare(original, Engine.load(folder), example_image())
    if weights == "float32" and parity.largest_error > TOLERANCE * parity.largest_logit:
        raise RequestError(f"{original.name} cannot be exported: {parity}; please report it with the model's config")
    option = "" if weights == "float32" else f" --weights {weights}"
    fields = {
        "name": folder.name,
        "model": Path(original.name).name,
        "runtime": runtime,
        "weights": weights,
        "option": option,
    }
    (folder / "README.md").write_text(_CARD.format(**fields, parity=parity), encoding="utf-8")
    write_sums(folder)
    return parity
