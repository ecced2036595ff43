"""Does a fused GPU kernel for patch info mining pay? Kernel launches and bytes of one image, beside its two encoders.

    python benchmarks/gpu/mining.py --device cpu           # counts alone: needs no GPU and no memory, takes seconds
    python benchmarks/gpu/mining.py                        # and times on a GPU, with the encoders beside

Counted on tensors without data, at the published size in bfloat16: every operator that computes is one launch, and
moves the bytes of its inputs and outputs. Seconds are the most of three: operations and bytes at the rates of a data
sheet (A100 SXM: 312 TFLOP/s, 2.04 TB/s; H100 SXM: 989 TFLOP/s, 3.35 TB/s), and 5 µs for each launch, which CUDA graphs
or batches make small. The bound of a perfect kernel are the operations of mining, and its inputs, weights and result.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import case
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from minigemini.modeling.model import MiniGeminiModel

GPUS = {"A100": (312e12, 2.04e12), "H100": (989e12, 3.35e12)}
LAUNCH_SECONDS = 5e-6
NOT_LAUNCHED = {"detach", "lift_fresh", "empty", "empty_like", "empty_strided", "new_empty", "_unsafe_view"}


@dataclass
class Counts:
    """What a call launches, moves and computes."""

    launches: int = 0
    moved_bytes: int = 0
    flop: int = 0

    def seconds(self, gpu: str, launched: bool = True) -> float:
        """The time on a GPU, with or without that of launches."""
        flops, bandwidth = GPUS[gpu]
        return max(self.flop / flops, self.moved_bytes / bandwidth, launched * self.launches * LAUNCH_SECONDS)


class CountMode(TorchDispatchMode):
    """Counts operators that compute on tensors without data, and the bytes of their inputs and outputs.

    Tensors on the CPU are constants of shapes, computed there; bringing one to the GPU counts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func.overloadpacket.__name__ not in NOT_LAUNCHED:
            self.add(args, kwargs, result)
        return result

    def add(self, *values: Any) -> None:
        """Count one launch with these inputs and outputs."""
        tensors = [value for value in tree_leaves(values) if isinstance(value, Tensor)]
        if any(tensor.is_meta for tensor in tensors):
            self.counts.launches += 1
            self.counts.moved_bytes += sum(tensor.nbytes for tensor in tensors)

    def attention(self, query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        """SDPA as one kernel, as on GPUs; without a device it would be counted as products and a softmax."""
        result = torch.empty_like(query)
        self.add(query, key, value, result)
        self.counts.flop += 4 * query.numel() * key.shape[-2]
        return result


def count(call: Callable[[], Any]) -> Counts:
    mode = CountMode()
    one_kernel = patch.object(torch.nn.functional, "scaled_dot_product_attention", mode.attention)
    with FlopCounterMode(display=False) as flops, mode, one_kernel, torch.no_grad():
        call()
    mode.counts.flop += flops.get_total_flops()
    return mode.counts


class VisionPath:
    """The parts of the vision path on random inputs of one image, in bfloat16."""

    def __init__(self, size: str, device: torch.device) -> None:
        _, config = case.make_processor_and_config(size)
        text = {"hidden_size": 64, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        config.text_config = type(config.text_config)(**text, vocab_size=8)  # not used
        with torch.device(device):
            self.model = MiniGeminiModel(config).to(torch.bfloat16).eval()
            self.low_res, self.high_res = (
                torch.rand(1, 3, side, side, dtype=torch.bfloat16)
                for side in (config.low_res_size, config.high_res_size)
            )
        with torch.no_grad():
            self.tokens = self.model.get_low_res_features(self.low_res)
            self.maps = self.model.get_high_res_stage_maps(self.high_res)

    def calls(self) -> dict[str, Callable[[], Any]]:
        return {
            "low-resolution encoder": lambda: self.model.get_low_res_features(self.low_res),
            "high-resolution encoder": lambda: self.model.get_high_res_stage_maps(self.high_res),
            "mining": lambda: self.model.mine(self.tokens, self.maps),
        }

    def least_bytes_of_mining(self) -> int:
        """Bytes of what mining has to read, tokens, maps and weights, and of its result."""
        assert self.model.patch_info_mining is not None
        tensors = [self.tokens, *self.maps, *self.model.patch_info_mining.parameters(), self.tokens]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Counts of the parts of the vision path; on a GPU their times too."""
    path = VisionPath(args.size, torch.device("meta"))
    parts = {name: count(call) for name, call in path.calls().items()}
    least = path.least_bytes_of_mining()
    perfect = Counts(1, least, parts["mining"].flop)
    figures: dict[str, Any] = {}
    for name, counts in {**parts, "mining, one perfect kernel": perfect}.items():
        figures[f"{name}, launches"] = counts.launches
        figures[f"{name}, MB"] = counts.moved_bytes / 1e6
        figures[f"{name}, GFLOP"] = counts.flop / 1e9
        for gpu in GPUS:
            figures[f"{name}, {gpu}, µs"] = 1e6 * counts.seconds(gpu, launched=False)
            figures[f"{name}, {gpu}, launched one by one, µs"] = 1e6 * counts.seconds(gpu)
    for gpu in GPUS:
        for launched in (False, True):
            whole = sum(counts.seconds(gpu, launched) for counts in parts.values())
            saved = parts["mining"].seconds(gpu, launched) - perfect.seconds(gpu, launched)
            graphs = "launched one by one" if launched else "in CUDA graphs"
            figures[f"most that a kernel could save of the vision path, {gpu}, {graphs}"] = saved / whole
    if device.type != "cpu":
        with torch.inference_mode():
            for name, call in VisionPath(args.size, device).calls().items():
                figures[f"{name}, measured, µs"] = 1e6 * case.seconds(call, device, args.repetitions)
    return figures


if __name__ == "__main__":
    case.main(measure, case.parse(__doc__))
