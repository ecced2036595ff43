"""Implementations of attention: reading a prompt, and a training step of packed samples.

python benchmarks/gpu/attention.py                     # eager, SDPA, flex and, if it is installed, FlashAttention 2
python benchmarks/gpu/attention.py --device cpu --tiny # a dry run
"""

import argparse
from importlib.util import find_spec
from typing import Any

import case
import torch

from minigemini.data.encoding import Encoded
from minigemini.data.packing import PackedCollator
from minigemini.training.build_model import TrainModule

IMPLEMENTATIONS = ("eager", "sdpa", "flex_attention", "flash_attention_2")
LENGTHS = (3, 10, 40, 120)
"""Sentences of the answers that are packed into one row."""


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Figures by implementation; the losses are compared with SDPA's."""
    processor, config = case.make_processor_and_config(args.size)
    question = case.make_inputs(processor, device)
    batch = pack(processor, config.text_config.max_position_embeddings, device)
    model = case.make_model(config, device, torch.bfloat16 if device.type != "cpu" else torch.float32)
    for tower in (model.model.vision_tower, model.model.high_res_vision_tower):
        tower.requires_grad_(False)
    figures: dict[str, Any] = {}
    for name in IMPLEMENTATIONS:
        if reason := why_not(name, device):
            figures[f"{name}, skipped"] = reason
            continue
        model.set_attn_implementation(name)
        flash = name == "flash_attention_2"
        arguments = {k: v for k, v in batch.items() if flash or not k.startswith(("cu_seq_lens", "max_length"))}

        @torch.inference_mode()
        def read() -> Any:
            return model(**question, logits_to_keep=1).logits

        def step(arguments: dict[str, Any] = arguments) -> float:
            loss = TrainModule(model)(**arguments)["loss"]
            loss.backward()
            model.zero_grad()
            return float(loss)

        figures[f"{name}, prompt, ms"] = 1e3 * case.seconds(read, device, args.repetitions)
        figures[f"{name}, packed step, ms"] = 1e3 * case.seconds(step, device, args.repetitions)
        figures[f"{name}, packed step, MiB"] = case.peak_mib(step, device)
        figures[f"{name}, loss"] = step()
    return figures


def why_not(name: str, device: torch.device) -> str:
    """Why an implementation cannot run here; empty if it can."""
    if name == "flash_attention_2" and find_spec("flash_attn") is None:
        return "pip install flash-attn"
    if name != "eager" and name != "sdpa" and device.type == "cpu":
        return "for GPUs"
    return ""


def pack(processor: Any, row_length: int, device: torch.device) -> dict[str, Any]:
    """One row of samples of several lengths, with the arguments of FlashAttention."""
    samples = []
    for sentences in LENGTHS:
        inputs = case.make_inputs(processor, torch.device("cpu"), "It is a valve. " * sentences)
        labels, ids = inputs.pop("labels")[0], inputs.pop("input_ids")[0]
        pixels = {name: value for name, value in inputs.items() if "pixel" in name}
        samples.append(Encoded(ids, labels.index_fill(0, torch.tensor([0]), -100), pixels))
    packed = PackedCollator(row_length, 0, cu_seq_lens=True)(samples)
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in packed.items()}


if __name__ == "__main__":
    case.main(measure, case.parse(__doc__))
