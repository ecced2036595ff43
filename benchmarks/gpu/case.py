"""Shared by the GPU scripts: the model, its inputs, timing, memory, and what a script prints.

Every script measures one code path and prints one JSON object: figures, or why it was skipped. `run_all.py` runs them.
The model has random weights: CLIP ViT-L/14 at 336 px and ConvNeXt-L at 768 px, as published, over a language model of
1.1 billion parameters (TinyLlama's shape). `--tiny` is a model of a few thousand weights, for dry runs anywhere.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor, model_folder

SIZES: dict[str, dict[str, Any]] = {
    "full": {
        "vision_config": {
            **{"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
            **{"image_size": 336, "patch_size": 14},
        },
        "high_res_vision_config": {
            **{"model_type": "convnext", "hidden_sizes": [192, 384, 768, 1536], "depths": [3, 3, 27, 3]},
        },
        "text_config": {
            **{"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32},
            **{"num_key_value_heads": 4, "vocab_size": 32000, "max_position_embeddings": 4096},
        },
    },
    "tiny": {
        "vision_config": {
            **{"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2},
            **{"image_size": 16, "patch_size": 8},
        },
        "high_res_vision_config": {
            **{"model_type": "convnext", "hidden_sizes": [4, 8, 8, 16], "depths": [1, 1, 1, 1]},
        },
        "text_config": {
            **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
            **{"num_key_value_heads": 2, "vocab_size": 3000, "max_position_embeddings": 4096},
        },
    },
}


class Skipped(Exception):  # noqa: N818
    """A path cannot be measured here; the message says why."""


def make_processor_and_config(size: str) -> tuple[MiniGeminiProcessor, MiniGeminiConfig]:
    """The config of a size, with the tokenizer and chat format of nano."""
    base = MiniGeminiProcessor.from_pretrained(str(model_folder("nano")))
    image_token_id = base.image_token_id
    text = {**SIZES[size]["text_config"], "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    sides = {} if size == "full" else {"high_res_size": 32}
    config = MiniGeminiConfig(**{**SIZES[size], "text_config": text}, image_token_id=image_token_id, **sides)
    return MiniGeminiProcessor.from_config(config, base.tokenizer, chat_template=base.chat_template), config


def make_model(
    config: MiniGeminiConfig, device: torch.device, dtype: torch.dtype
) -> MiniGeminiForConditionalGeneration:
    """A model of random weights, the same for all dtypes up to rounding."""
    torch.manual_seed(0)
    with torch.device("cpu"):
        model = MiniGeminiForConditionalGeneration(config)
    return model.to(device, dtype).eval()


def make_question() -> tuple[Image.Image, list[dict[str, Any]]]:
    """An image of noise and a question about it."""
    pixels = torch.randint(0, 256, (480, 640, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = Image.fromarray(pixels.numpy())
    content = [{"type": "image", "image": image}, {"type": "text", "text": "What is it? " * 8}]
    return image, [{"role": "user", "content": content}]


def make_inputs(processor: Any, device: torch.device, answer: str = "") -> dict[str, Tensor]:
    """Inputs of one conversation about an image; with an answer, `labels` too."""
    _, messages = make_question()
    if answer:
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    inputs = processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=not answer
    )
    batch = {name: value.to(device) for name, value in inputs.items() if isinstance(value, Tensor)}
    if answer:
        batch["labels"] = batch["input_ids"].masked_fill(batch["input_ids"] == processor.image_token_id, -100)
    return batch


def seconds(call: Callable[[], Any], device: torch.device, repetitions: int) -> float:
    """Median time of a call after a first one."""
    times = []
    for _ in range(repetitions + 1):
        synchronize(device)
        began = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def peak_mib(call: Callable[[], Any], device: torch.device) -> float | None:
    """Highest allocated memory of a call above what was there before; None on a CPU."""
    if device.type == "cpu":
        call()
        return None
    synchronize(device)
    before = torch.accelerator.memory_allocated(device)
    torch.accelerator.reset_peak_memory_stats(device)
    call()
    return (torch.accelerator.max_memory_allocated(device) - before) / 2**20


def choose_device(name: str | None) -> torch.device:
    """The named device, or a CUDA GPU. Raises `Skipped` if there is none."""
    if name is None and not torch.cuda.is_available():
        raise Skipped("no CUDA GPU here; --device cpu --tiny is a dry run")
    return torch.device(name or "cuda")


def parse(description: str | None, *, worker: bool = False) -> argparse.Namespace:
    """The options that all scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="default: cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, for a dry run")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="folder for checkpoints and runs; default: a temporary one")
    if worker:
        parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.size = "tiny" if args.tiny else "full"
    return args


def main(measure: Callable[[argparse.Namespace, torch.device], dict[str, Any]], args: argparse.Namespace) -> None:
    """Measure, and print the figures as one line of JSON, the last of the output."""
    try:
        document = measure(args, choose_device(args.device))
    except Skipped as reason:
        document = {"skipped": str(reason)}
    print(json.dumps(document))
