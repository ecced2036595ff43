"""The image encoders in each dtype and layout: time, and error of their features and of answers.

    python benchmarks/encoders.py speed --keep encoders.jsonl           # CLIP ViT-L/14 at 336, ConvNeXt-L at 768
    python benchmarks/encoders.py answers small --questions 60          # how many answers of a model change

"speed" has random weights of the published shapes, which need as long as trained ones, and by default a third of the
layers: 8 of the ViT's, depths 1, 1, 9, 1 of the ConvNeXt. All ways are in this process, one after the other; times are
medians of processor time, which other programs disturb less than time on the clock. "Error" is that of the features
against float32 as torch computes it, relative, root mean square, and one minus their cosine. "answers" asks a model
about real pictures.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, ConvNextConfig, ConvNextModel

from minigemini.inference import Engine, Sampling
from minigemini.inference.packed_model import pack_towers
from minigemini.modeling.encoders import kind_of

WAYS = ("float32", "float32 packed", "bfloat16", "bfloat16 packed")
VIT = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "image_size": 336, "patch_size": 14}


def random_model(kind: Any, config: Any) -> nn.Module:
    """A model in eval mode with random weights, which are faster to make than those of Transformers' initializers."""
    with torch.device("meta"):
        model = kind(config)
    model.to_empty(device="cpu")
    noise = 0.02 * torch.randn(2**20, generator=torch.Generator().manual_seed(0))
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point():
            tensor.data.copy_(torch.arange(tensor.numel()).view(tensor.shape))
        elif tensor.ndim == 1:
            tensor.data.fill_(float(name.endswith("weight") or "scale" in name))
        else:
            for part in tensor.data.view(-1).split(len(noise)):
                part.copy_(noise[: len(part)])
    return model.eval()


def encoders(way: str, whole: bool) -> dict[str, Any]:
    """Functions from nothing to features, of each encoder."""
    vit = CLIPVisionConfig(**VIT, num_hidden_layers=23 if whole else 8)
    convnext = ConvNextConfig(hidden_sizes=[192, 384, 768, 1536], depths=[3, 3, 27, 3] if whole else [1, 1, 9, 1])
    found: dict[str, Any] = {}
    for name, kind, config, side in (("ViT", CLIPVisionModel, vit, 336), ("ConvNeXt", ConvNextModel, convnext, 768)):
        dtype = getattr(torch, way.split()[0])
        model = random_model(kind, config).to(dtype)
        if "packed" in way:
            pack_towers([model])
        torch.manual_seed(1)
        pixels = torch.randn(1, 3, side, side).to(dtype)
        found[name] = partial(encode, kind_of(config), model, pixels)
    return found


def encode(kind: Any, model: nn.Module, pixels: Tensor) -> Tensor:
    """The last map of an encoder, in float32."""
    last: Tensor = kind.encode(model, pixels)[-1].float()
    return last


def cpu_seconds(call: Callable[[], Any]) -> float:
    """Processor time of a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def errors(features: Tensor, exact: Tensor) -> tuple[float, float]:
    relative = float((features - exact).square().mean().sqrt() / exact.square().mean().sqrt())
    return relative, 1 - float(nn.functional.cosine_similarity(features.flatten(), exact.flatten(), 0))


@torch.inference_mode()
def speed(options: Any) -> None:
    """Print a row for each way, and append it to the kept file."""
    exact: dict[str, Tensor] = {}
    print("| way | ViT, s | ConvNeXt, s | both, s | error of ViT | error of ConvNeXt | 1 - cosine |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for way in options.ways:
        taken, found = [], []
        for name, call in encoders(way, options.whole).items():
            features = call()  # warms up, too
            found.append(errors(features, exact.setdefault(name, features)))
            taken.append(statistics.median(cpu_seconds(call) for _ in range(options.repetitions)))
        cells = [f"{value:.2f}" for value in (*taken, sum(taken))] + [f"{relative:.1e}" for relative, _ in found]
        print(
            "| " + " | ".join([way, *cells, " and ".join(f"{max(0, one):.0e}" for _, one in found)]) + " |", flush=True
        )
        if options.keep:
            with options.keep.open("a") as file:
                file.write(json.dumps({"way": way, "seconds": taken, "errors": found}) + "\n")


def answers(options: Any) -> None:
    """Print how many answers change when the encoders are packed, and in bfloat16."""
    from minigemini.evaluation.task import open_image_input
    from minigemini_models.evaluation.real_task import RealPictures

    questions = RealPictures().questions(None, options.questions)
    asked = [one.messages_with({image: open_image_input(image) for image in one.images}) for one in questions]
    loads = {"plain": {}, "packed": {"packed": True}, "bfloat16": {"packed": True, "encoder_dtype": "bfloat16"}}
    given: dict[str, list[str]] = {}
    for way, load in loads.items():
        engine = Engine.load(options.model, "cpu", "float32", **load)
        given[way] = [engine.stream(messages, Sampling(max_new_tokens=16)).answer.text for messages in asked]
        changed = sum(a != b for a, b in zip(given[way], given["plain"], strict=True))
        print(f"{options.model}, {way}: {changed} of {len(questions)} answers changed", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("speed", "answers"))
    parser.add_argument("model", nargs="?", default="small")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--whole", action="store_true", help="all layers: 4 GB")
    parser.add_argument("--keep", type=Path, help="append results to this file")
    options: Any = parser.parse_args()
    torch.set_num_threads(options.threads)
    {"speed": speed, "answers": answers}[options.part](options)


if __name__ == "__main__":
    main()
