"""`minigemini export`: write a model for onnxruntime or OpenVINO."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .common import Base, be_quiet, one_line_errors


@one_line_errors
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="nano, small (pulled), a checkpoint folder, a hub id, or an adapter.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write; it must not exist.")],
    runtime: Annotated[str, typer.Option("--to", help="onnx or openvino.")],
    weights: Annotated[
        str, typer.Option("--weights", help="float32, or int8, which takes a third of the space and is less exact.")
    ] = "float32",
    base: Base = None,
) -> None:
    """Export a model for onnxruntime or OpenVINO.

    Writes the graphs, config, processor and tokenizer, compares the logits with PyTorch's, and prints the folder.
    `ask`, `chat`, `serve` and `web` take it as --model. An adapter is merged first.

    Example: minigemini export nano nano-onnx --to onnx

    Example: minigemini export small small-openvino --to openvino --weights int8
    """
    be_quiet(model)

    from ..io.checkpoint import check_name
    from ..io.exported_files import check_export

    check_name(model)
    check_export(runtime, weights)

    from ..export.export_model import export

    parity = export(model, target, runtime, weights, base)
    print(f"minigemini: {parity}", file=sys.stderr)
    print(target)
