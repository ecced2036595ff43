"""bfloat16 beside float32: time, memory and error of reading a prompt, and of a training step in mixed precision.

python benchmarks/gpu/bf16.py
python benchmarks/gpu/bf16.py --device cpu --tiny      # a dry run
"""

import argparse
from contextlib import nullcontext
from typing import Any

import case
import torch

from minigemini.training.build_model import TrainModule


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Figures by dtype."""
    processor, config = case.make_processor_and_config(args.size)
    question, lesson = (case.make_inputs(processor, device, answer) for answer in ("", "It is a valve. " * 32))
    figures: dict[str, Any] = {}
    logits = {}
    for name in ("float32", "bfloat16"):
        model = case.make_model(config, device, getattr(torch, name))

        @torch.inference_mode()
        def read(model: Any = model) -> Any:
            return model(**question, logits_to_keep=8).logits

        logits[name] = read().float()
        figures[f"{name}, prompt, ms"] = 1e3 * case.seconds(read, device, args.repetitions)
        figures[f"{name}, prompt, MiB"] = case.peak_mib(read, device)
        del model, read
        step = training_step(case.make_model(config, device, torch.float32), lesson, name == "bfloat16")
        figures[f"{name}, training step, ms"] = 1e3 * case.seconds(step, device, args.repetitions)
        figures[f"{name}, training step, MiB"] = case.peak_mib(step, device)
        figures[f"{name}, loss"] = step()
        del step
    scale = logits["float32"].std()
    figures["logits, rms error over deviation"] = float((logits["bfloat16"] - logits["float32"]).std() / scale)
    return figures


def training_step(model: Any, batch: dict[str, torch.Tensor], mixed: bool) -> Any:
    """Forward and backward of the connector and the language model, as `minigemini train` runs them."""
    for tower in (model.model.vision_tower, model.model.high_res_vision_tower):
        tower.requires_grad_(False)
    module = TrainModule(model.train())

    def step() -> float:
        context = torch.autocast(model.device.type, torch.bfloat16) if mixed else nullcontext()
        with context:
            loss = module(**batch)["loss"]
        loss.backward()
        model.zero_grad()
        return float(loss)

    return step


if __name__ == "__main__":
    case.main(measure, case.parse(__doc__))
