"""bitsandbytes' 8 and 4 bits beside the unquantized model: decoding, memory, and error of the logits.

python benchmarks/gpu/quantization.py
python benchmarks/gpu/quantization.py --device cpu --tiny  # a dry run
"""

import argparse
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import case
import torch

from minigemini.inference import Engine

NEW_TOKENS = 64


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Figures by number of bits."""
    if find_spec("bitsandbytes") is None:
        raise case.Skipped("pip install 'minigemini[quantize]'")
    processor, config = case.make_processor_and_config(args.size)
    inputs = case.make_inputs(processor, device)
    figures: dict[str, Any] = {}
    exact: Any = None
    new_tokens = 4 if args.tiny else NEW_TOKENS
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        case.make_model(config, torch.device("cpu"), dtype).save_pretrained(folder)
        processor.save_pretrained(folder)
        for bits in (None, "8bit", "4bit"):
            model = Engine.load(Path(folder), device=str(device), quantize=bits).model
            name = bits or str(dtype).removeprefix("torch.")
            logits = logits_of(model, inputs)
            exact = logits if exact is None else exact

            def generate(model: Any = model) -> Any:
                count = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens}
                return model.generate(**inputs, do_sample=False, **count)

            figures[f"{name}, tokens/s"] = new_tokens / case.seconds(generate, device, args.repetitions)
            figures[f"{name}, weights, MiB"] = sum(p.nbytes for p in model.parameters()) / 2**20
            figures[f"{name}, rms error over deviation"] = float((logits - exact).std() / exact.std())
            del model, generate
    return figures


@torch.inference_mode()
def logits_of(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    return model(**inputs, logits_to_keep=8).logits.float()


if __name__ == "__main__":
    case.main(measure, case.parse(__doc__))
