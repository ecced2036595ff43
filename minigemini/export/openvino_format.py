"""Writes graphs as OpenVINO models, by way of ONNX."""

import io
import logging
import os
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..io.exported_files import DECODER, EMBEDDINGS
from .graphs import Graph
from .onnx_format import write_onnx


def write_openvino(graph: Graph, path: Path, weights: str = "float32") -> None:
    """Write a graph.

    Args:
        graph: The graph.
        path: The .xml file; weights are in a .bin file beside it.
        weights: `int8` compresses weights to 8 bits, with a scale and a zero point for each output channel.

    Raises:
        RequestError: The module cannot be traced, or an operator has no translation.
    """
    import openvino

    with TemporaryDirectory(dir=path.parent) as folder:
        onnx_file = Path(folder) / "graph.onnx"
        write_onnx(graph, onnx_file)
        # Not `convert_model`, which reports its use over the network.
        model = openvino.Core().read_model(onnx_file)
        if graph.name == DECODER:
            make_stateful(model)
        if weights == "int8" and graph.name != EMBEDDINGS:  # whose table has 8 bits already
            model = _compress(model)
        openvino.save_model(model, path, compress_to_fp16=False)


def make_stateful(model: Any) -> None:
    """Turn the keys and values of a decoder from inputs and outputs into state, in the form of optimum-intel.

    A state begins with no tokens. The input `beam_idx` (batch,) names the row of the state that each row continues.
    """
    from openvino import opset13 as ops
    from openvino._offline_transformations import apply_make_stateful_transformation

    past = [port for port in model.inputs if port.get_any_name().startswith("past_key_values")]
    pairs = {port.get_any_name(): port.get_any_name().replace("past_key_values", "present") for port in past}

    # 1. Reorder the rows of the past by beam_idx.
    beam_idx = ops.parameter([-1], np.int32, name="beam_idx")
    beam_idx.output(0).get_tensor().add_names({"beam_idx"})
    model.add_parameters([beam_idx])
    for port in past:
        users = port.get_target_inputs()
        rows = ops.gather(port, beam_idx, ops.constant(0))
        for user in users:
            user.replace_source_output(rows.output(0))
    model.validate_nodes_and_infer_types()

    # 2. Replace inputs and outputs by reads and writes of a state.
    shapes = [[dim.get_length() if dim.is_static else 0 for dim in port.partial_shape] for port in past]
    apply_make_stateful_transformation(model, pairs)

    # 3. Begin each state with no tokens, and as many rows as there are sequences.
    batch = ops.gather(ops.shape_of(model.input("inputs_embeds"), "i64"), ops.constant([0]), ops.constant(0))
    reads = {op.get_variable_id(): op for op in model.get_ops() if op.get_type_name() == "ReadValue"}
    for (name, written), shape in zip(pairs.items(), shapes, strict=True):
        sizes = ops.concat([batch, ops.constant(np.array(shape[1:], np.int64))], 0)
        reads[name + written].set_arguments([ops.broadcast(ops.constant(np.float32(0)), sizes)])
    model.validate_nodes_and_infer_types()


def _compress(model: Any) -> Any:
    os.environ.setdefault("NNCF_CI", "1")  # it reports its use over the network otherwise
    import nncf

    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):  # tables and bars of progress
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
