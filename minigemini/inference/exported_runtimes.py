"""Runs the graphs of an exported model with onnxruntime or OpenVINO, on the CPU, with as many threads as torch.

A runtime runs the two graphs that keep nothing, and starts a `DecoderCache` for each sequence, which runs the decoder.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..io.errors import CheckpointError, RequestError, one_line
from ..io.exported_files import DECODER

Inputs = Mapping[str, Tensor]
"""Inputs by name. Those that a graph does not have are left out."""
_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


class DecoderCache(ABC):
    """The keys and values of one batch of sequences. `generate` takes it for its `past_key_values`."""

    length = 0
    """Tokens that were read."""

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens that were read."""
        return self.length

    def decode(self, inputs: Inputs) -> Tensor:
        """Read tokens: `inputs_embeds` (batch, length, D), `attention_mask` (batch, all), `position_ids`.

        Returns:
            (batch, length, vocabulary), the logits.
        """
        logits = self._decode(inputs)
        self.length += inputs["inputs_embeds"].shape[1]
        return logits

    @abstractmethod
    def _decode(self, inputs: Inputs) -> Tensor: ...


class Runtime(Protocol):
    """Runs the graphs."""

    def run(self, graph: str, inputs: Inputs) -> Tensor:
        """Run the vision encoder or the embeddings, and return the output."""

    def start(self) -> DecoderCache:
        """Start to decode."""


def open_runtime(name: str, files: Mapping[str, Path]) -> Runtime:
    """Load the graphs.

    Args:
        name: `onnx` or `openvino`.
        files: The files by graph.

    Raises:
        RequestError: The runtime is not installed.
        CheckpointError: A graph cannot be loaded.
    """
    if find_spec(_PACKAGES[name]) is None:
        raise RequestError(f"{_PACKAGES[name]} is not installed: pip install 'minigemini[{name}]'")
    try:
        return OnnxRuntime(files) if name == "onnx" else OpenVinoRuntime(files)
    except Exception as error:  # noqa: BLE001 (runtimes have error classes of their own)
        folder = files[DECODER].parent
        raise CheckpointError(f"{folder}: a graph cannot be loaded ({one_line(error)}); export it again") from None


class OnnxRuntime:
    """onnxruntime: keys and values are inputs and outputs of the decoder."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.sessions = {
            name: onnxruntime.InferenceSession(file, options, providers=providers) for name, file in files.items()
        }

    def run(self, graph: str, inputs: Inputs) -> Tensor:
        session = self.sessions[graph]
        return torch.from_numpy(session.run(None, _of_graph(inputs, session.get_inputs()))[0])

    def start(self) -> DecoderCache:
        return OnnxCache(self.sessions[DECODER])


def _of_graph(inputs: Inputs, wanted: Any) -> dict[str, Any]:
    return {port.name: inputs[port.name].numpy() for port in wanted if port.name in inputs}


class OnnxCache(DecoderCache):
    """Hands what the decoder returns as `present.…` back to it as `past_key_values.…`."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.past: dict[str, Any] = {}

    def _decode(self, inputs: Inputs) -> Tensor:
        ports = self.session.get_inputs()
        names = [port.name for port in ports if port.name.startswith("past_key_values")]
        if not self.past:
            batch = inputs["inputs_embeds"].shape[0]
            shapes = {port.name: (batch, port.shape[1], 0, port.shape[3]) for port in ports if port.name in names}
            self.past = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        logits, *present = self.session.run(None, {**_of_graph(inputs, ports), **self.past})
        self.past = dict(zip(names, present, strict=True))
        return torch.from_numpy(logits)


class OpenVinoRuntime:
    """OpenVINO: the decoder keeps keys and values as the state of an inference request."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        import openvino

        core = openvino.Core()
        # Defaults would compute in bfloat16 where the CPU has it, quantize keys and values, and pin threads to cores.
        options = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        models = {name: core.compile_model(file, "CPU", options) for name, file in files.items()}
        self.decoder = models.pop(DECODER)
        self.requests = {name: model.create_infer_request() for name, model in models.items()}

    def run(self, graph: str, inputs: Inputs) -> Tensor:
        return _infer(self.requests[graph], inputs)

    def start(self) -> DecoderCache:
        return OpenVinoCache(self.decoder.create_infer_request())


class OpenVinoCache(DecoderCache):
    """An inference request, whose state has a row for each sequence."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def _decode(self, inputs: Inputs) -> Tensor:
        rows = torch.arange(inputs["inputs_embeds"].shape[0], dtype=torch.int32)
        return _infer(self.request, {**inputs, "beam_idx": rows})


def _infer(request: Any, inputs: Inputs) -> Tensor:
    names = {name for port in request.model_inputs for name in port.get_names()}
    request.infer({name: tensor.numpy() for name, tensor in inputs.items() if name in names})
    return torch.from_numpy(request.get_output_tensor(0).data.copy())
