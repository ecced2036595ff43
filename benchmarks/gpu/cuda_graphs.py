"""Decoding with a cache that grows, with a static cache, and with a compiled step that is replayed as a CUDA graph.

python benchmarks/gpu/cuda_graphs.py
python benchmarks/gpu/cuda_graphs.py --device cpu --tiny   # a dry run: compiled without a code generator
"""

import argparse
from typing import Any

import case
import torch
from transformers import CompileConfig

NEW_TOKENS = 128


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Tokens per second, the share of the time in which the weights could be read, and equal tokens."""
    processor, config = case.make_processor_and_config(args.size)
    model = case.make_model(config, device, torch.bfloat16 if device.type != "cpu" else torch.float32)
    inputs = case.make_inputs(processor, device)
    compiled = CompileConfig(mode="reduce-overhead")
    if device.type == "cpu":
        compiled = CompileConfig(backend="eager", mode=None, fullgraph=False)
        compiled._compile_all_devices = True
    ways: dict[str, dict[str, Any]] = {
        "growing cache": {},
        "static cache": {"cache_implementation": "static", "disable_compile": True},
        "static cache, compiled": {"cache_implementation": "static", "compile_config": compiled},
    }
    new_tokens = 8 if args.tiny else NEW_TOKENS
    figures: dict[str, Any] = {}
    first: Any = None
    for name, options in ways.items():

        def generate(count: int, options: dict[str, Any] = options) -> Any:
            return model.generate(
                **inputs, **options, do_sample=False, min_new_tokens=count, max_new_tokens=count, max_length=None
            )

        tokens = generate(new_tokens)
        first = tokens if first is None else first
        # The time of reading the prompt is subtracted.
        prompt = case.seconds(lambda: generate(1), device, args.repetitions)
        whole = case.seconds(lambda: generate(new_tokens), device, args.repetitions)
        figures[f"{name}, tokens/s"] = (new_tokens - 1) / max(whole - prompt, 1e-9)
        figures[f"{name}, equal tokens"] = f"{int((tokens == first).sum()) - inputs['input_ids'].shape[1]}/{new_tokens}"
    weights = sum(p.nbytes for p in (*model.model.language_model.parameters(), *model.lm_head.parameters()))
    figures["weights of the language model, GB"] = weights / 1e9
    return figures


if __name__ == "__main__":
    case.main(measure, case.parse(__doc__))
