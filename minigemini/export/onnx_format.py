"""Writes graphs as ONNX, and quantizes their weights for onnxruntime."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..io.errors import RequestError, one_line
from ..io.exported_files import EMBEDDINGS
from .graphs import Graph

OPSET = 21
"""The first with block-wise quantization."""
BLOCK = 32
"""Weights that share a scale. onnxruntime computes with 8-bit activations that share one in the same blocks."""
LARGEST_FILE_BYTES = 2**31 - 2**27
"""Above it, weights are in a file beside the graph: protobuf holds at most 2 GiB."""


def write_onnx(graph: Graph, path: Path, weights: str = "float32") -> None:
    """Write a graph.

    Args:
        graph: The graph.
        path: The .onnx file.
        weights: `int8` quantizes the weights of matrix products in blocks (`MatMulNBits`); convolutions keep float32.

    Raises:
        RequestError: The module cannot be traced, or an operator has no translation.
    """
    program = _trace(graph)
    if weights == "int8" and graph.name != EMBEDDINGS:  # whose table has 8 bits already
        _write_eight_bit(program, path)
        return
    import onnx_ir

    size = sum(value.const_value.nbytes for value in program.model.graph.initializers.values())
    onnx_ir.save(program.model, path, external_data=f"{path.name}_data" if size > LARGEST_FILE_BYTES else None)


def _trace(graph: Graph) -> Any:
    names = list(graph.inputs)
    axes: list[Any] = [graph.axes[name] for name in names]
    fixed = [name for name in names if not name.startswith("past_key_values")]
    if len(fixed) < len(names):  # variadic parameters are one entry
        axes = [*axes[: len(fixed)], tuple(axes[len(fixed) :])]
    try:
        with torch.no_grad(), _quiet():
            return torch.onnx.export(
                graph.module.eval(),
                tuple(graph.inputs.values()),
                input_names=names,
                output_names=graph.outputs,
                dynamic_shapes=tuple(axes),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # noqa: BLE001 (the tracer passes on whatever a module raises)
        reason = one_line(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise RequestError(f"{graph.name} cannot be exported: torch.onnx.export failed ({reason})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's warnings about torchvision's operators, which no graph has, and about axes that share a name."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)


def _write_eight_bit(program: Any, path: Path) -> None:
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)  # without one, the module sets up logging for the whole process when it is imported
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    root.removeHandler(handler)
    quantizer = MatMulNBitsQuantizer(program.model_proto, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    is_large = quantizer.model.model.ByteSize() > LARGEST_FILE_BYTES
    quantizer.model.save_model_to_file(str(path), is_large)
