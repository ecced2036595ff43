"""One optimizer step compared with a straightforward implementation, alternating, on the same samples.

    python benchmarks/training.py                    # both stages: minutes, 6 GB
    python benchmarks/training.py --stage align --repetitions 5

The straightforward step pads each sample to the longest, makes keys and values of every high-resolution position as the
formula of mining says, and takes the loss from the logits of all positions. Ours packs, mines, and runs the head where
labels are. Between them stands each of the three by itself. All steps freeze the encoders without a graph and recompute
the language model's activations, and give the same loss.

The shape: pictures as the published models see them (336 px in 24 x 24 patches, 768 px in maps of 192 x 192), encoders
and language model an eighth to a quarter as wide, the vocabulary of Llama, 4 samples whose texts have 24 to 640 tokens
(stage 1: 12 to 60). Time is that of the processor, of one thread, so that what else a shared machine does has little
part in it. Memory is the highest sum of live tensors that a step allocates, weights and moments not counted, read from
the profiler's allocation events.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("KINETO_LOG_LEVEL", "99")

import torch
from mining import peak_temporaries_mib
from torch import Tensor
from torch.nn.functional import cross_entropy

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration
from minigemini.data.encoding import IGNORED, Encoded
from minigemini.data.packing import PackedCollator, PaddedCollator
from minigemini.modeling.patch_info_mining import PatchInfoMining
from minigemini.training import trainable
from minigemini.training.build_model import TrainModule, enable_gradient_checkpointing
from minigemini.training.recipe_registry import all_recipes

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference_mining import mine_by_formula

VOCABULARY, IMAGE_TOKEN, PAD = 32000, 31999, 0
TEXT_TOKENS = (24, 64, 160, 640)
"""Of the samples of stage 2: most are short, few are long."""
ANSWER_SHARE = 0.6
CAPTION_TOKENS = (12, 18, 28, 60)
"""Of stage 1, all of them learnt."""

WAYS = {
    "straightforward": frozenset[str](),
    "mining alone": frozenset({"mining"}),
    "head alone": frozenset({"head"}),
    "packing alone": frozenset({"packing"}),
    "ours": frozenset({"mining", "head", "packing"}),
}


def make_model() -> MiniGeminiForConditionalGeneration:
    torch.manual_seed(0)
    vit = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 4}
    convnext = {"model_type": "convnext", "hidden_sizes": [48, 96, 192, 384], "depths": [1, 1, 3, 1]}
    text = {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 4, "num_attention_heads": 8}
    return MiniGeminiForConditionalGeneration(
        MiniGeminiConfig(
            vision_config={**vit, "image_size": 336, "patch_size": 14},
            high_res_vision_config=convnext,
            text_config={**text, "vocab_size": VOCABULARY},
            image_token_id=IMAGE_TOKEN,
        )
    )


def make_samples(config: MiniGeminiConfig, stage: str) -> list[Encoded]:
    generator = torch.Generator().manual_seed(0)
    samples = []
    for length in TEXT_TOKENS if stage == "instruct" else CAPTION_TOKENS:
        text = torch.randint(1, IMAGE_TOKEN, (length,), generator=generator)
        ids = torch.cat([torch.full((config.num_image_tokens,), IMAGE_TOKEN), text])
        labels = torch.full_like(ids, IGNORED)
        answer = round(length * (ANSWER_SHARE if stage == "instruct" else 1.0))
        labels[-answer:] = ids[-answer:]
        sides = {"pixel_values": config.low_res_size, "high_res_pixel_values": config.high_res_size}
        pixels = {name: torch.randn(1, 3, side, side, generator=generator) for name, side in sides.items()}
        samples.append(Encoded(ids, labels, pixels))
    return samples


def make_step(
    model: MiniGeminiForConditionalGeneration, samples: list[Encoded], optimizer: Any, way: frozenset[str]
) -> Callable[[], Tensor]:
    """A whole step: forward, backward, update."""
    longest = max(map(len, samples))
    batch: Any = (PackedCollator(max(2048, longest), PAD) if "packing" in way else PaddedCollator(PAD))(samples)
    labels = batch.pop("labels")

    def by_formula(mining: PatchInfoMining, *inputs: Any, **kwargs: Any) -> Tensor:
        return mine_by_formula(mining, *inputs, **kwargs)[0]

    def step() -> Tensor:
        mining = nullcontext() if "mining" in way else patch.object(PatchInfoMining, "forward", by_formula)
        with mining:
            if "head" in way:
                loss = TrainModule(model)(labels=labels, **batch)["loss"]
            else:
                logits = model(**batch, use_cache=False).logits[:, :-1]
                loss = cross_entropy(logits.float().flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def measure(stage: str, repetitions: int) -> None:
    model = make_model()
    trainable.apply(model, parts := trainable.declared(all_recipes()[f"MGM-7B-{stage}"], model.config))
    trainable.check(model, parts)
    trainable.freeze_encoders(model)
    enable_gradient_checkpointing(model.model.language_model)
    model.train()
    # A rate of nothing, so that all steps are the same step.
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.0, weight_decay=0.0)
    samples = make_samples(model.config, stage)
    steps = {name: make_step(model, samples, optimizer, way) for name, way in WAYS.items()}
    losses = {name: float(step()) for name, step in steps.items()}  # and the moments are there
    assert max(losses.values()) - min(losses.values()) < 1e-4, losses
    times = {name: [] for name in WAYS}
    for _ in range(repetitions):
        for name, step in steps.items():
            began = time.process_time()
            step()
            times[name].append(time.process_time() - began)
    taken = {name: statistics.median(values) for name, values in times.items()}
    memory = {name: peak_temporaries_mib(lambda step=step: [step()]) for name, step in steps.items()}
    first = "straightforward"
    faster, share = taken[first] / taken["ours"], memory["ours"] / memory[first]
    print(f"{stage}: {faster:.2f} times the samples/s, {share:.2f} of the memory")
    print(f"  {'':17}{'s/step':>8}{'samples/s':>11}{'times':>7}{'MiB':>8}{'share':>7}")
    for name in WAYS:
        rate, share = len(samples) / taken[name], memory[name] / memory[first]
        print(
            f"  {name:17}{taken[name]:8.2f}{rate:11.3f}{taken[first] / taken[name]:7.2f}{memory[name]:8.0f}{share:7.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", nargs="+", choices=("align", "instruct"), default=("align", "instruct"))
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for stage in args.stage:
        measure(stage, args.repetitions)


if __name__ == "__main__":
    main()
