"""What a run will take, said before it begins: read off headers where that is enough, measured on a few steps."""

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from ..conversion import PUBLISHED
from ..data.loader import Loader
from ..inference.loading import load_config
from ..inference.memory import free_memory
from ..inference.quantising import NF4_BLOCK
from ..inference.report import part_of
from ..model import MiniGeminiForConditionalGeneration
from . import stages
from .building import build, configure, find_base
from .feed import Stream, global_batches, is_drawn, make_loader, open_mixture, steps_of
from .memory import begin_count, peak_bytes
from .recipe import Recipe
from .run import processes
from .settings import RecipeError, Settings
from .trainer import StageTrainer, arguments

MOMENT_BYTES = {"adamw": 8, "adamw-8bit": 2}
"""Of an optimiser's state, per parameter."""
PROBES = 5
"""Steps that are timed, evenly spread over the batches from the lightest to the heaviest."""


@dataclass(frozen=True)
class Measured:
    """A few steps, run on this machine.

    Attributes:
        seconds_per_step: reading and encoding included.
        seconds_per_checkpoint: to write one.
        peak_bytes: most memory of a device, the heaviest batch of the epoch included.
        tokens_per_sample: visual ones included.
    """

    seconds_per_step: float
    seconds_per_checkpoint: float
    peak_bytes: int
    tokens_per_sample: float


@dataclass(frozen=True)
class Plan:
    """What `--plan` prints.

    Attributes:
        trained, frozen: parameters by part.
        samples: of an epoch.
        steps: of the run.
        least_bytes: weights, gradients and the optimiser's moments on a device where nothing is sharded; activations
            come on top.
        free_bytes: of the device.
        measured: None where nothing could be run; `why_not` says why.
    """

    recipe: Recipe
    devices: int
    device: str
    trained: Mapping[str, int]
    frozen: Mapping[str, int]
    samples: int
    steps: int
    least_bytes: int
    free_bytes: int
    measured: Measured | None = None
    why_not: str = ""

    @property
    def seconds(self) -> float | None:
        """Of all steps and checkpoints; None where nothing was measured."""
        if self.measured is None:
            return None
        writes = math.ceil(self.steps / self.recipe.checkpoint_every)
        return self.steps * self.measured.seconds_per_step + writes * self.measured.seconds_per_checkpoint

    @property
    def fits(self) -> str:
        """Whether a device has the memory: yes, no, or not known."""
        need = self.least_bytes if self.measured is None else self.measured.peak_bytes
        if need > self.free_bytes:
            return "no: shard it over devices (docs/training.md), or train an adapter"
        return "yes" if self.measured is not None else "weights, gradients and optimiser do; activations not measured"

    def text(self) -> str:
        """The plan as lines for people."""
        rows = [(f"trained: {part}", f"{count:,} parameters") for part, count in self.trained.items()]
        rows += [(f"frozen: {part}", f"{count:,} parameters") for part, count in self.frozen.items()]
        each = f"{self.recipe.global_batch} samples, {self.devices} x {self.recipe.accumulation(self.devices)} passes"
        rows += [("steps", f"{self.steps:,} of {each}"), ("samples of an epoch", f"{self.samples:,}")]
        if (found := self.measured) is not None and self.seconds is not None:
            tokens = found.tokens_per_sample * self.steps * self.recipe.global_batch
            rows += [("tokens", f"{tokens:,.0f} ({found.tokens_per_sample:.0f} per sample)")]
            rows += [("time", f"{_duration(self.seconds)} ({found.seconds_per_step:.3g} s per step)")]
            rows += [(f"memory of {self.device}", f"{found.peak_bytes / 1e9:.2f} GB at most")]
        else:
            rows += [("tokens, time", f"not measured: {self.why_not}")]
            rows += [(f"memory of {self.device}", f"{self.least_bytes / 1e9:.2f} GB and activations (not measured)")]
        rows += [("fits", f"{self.fits} ({self.free_bytes / 1e9:.1f} GB are free)")]
        width = max(len(name) for name, _ in rows) + 2
        return "\n".join([f"{self.recipe.name}", *(f"  {name:{width}}{value}" for name, value in rows)])


def make_plan(recipe: Settings) -> Plan:
    """Plan a run by as many processes as this is one of.

    Raises:
        RecipeError: There is neither what the recipe names nor what was published under that name.
    """
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"{recipe.name}: a plan is of a stage; this has {recipe.summary()}")
    state = processes()
    trained, frozen, least = _weigh(recipe, _on_meta(recipe), state.device)
    free = free_memory()
    free_bytes = free[f"cuda:{state.device.index or 0}" if state.device.type == "cuda" else "cpu"]
    missing = [part.file for part in recipe.data if not (is_drawn(part) or Path(part.file).is_file())]
    if missing and any(part.published_samples is None for part in recipe.data):
        raise RecipeError(f"{recipe.name}: data {missing[0]}: no such file; name the one that holds the samples")
    samples = round(sum((part.published_samples or 0) * part.weight for part in recipe.data))
    measured, why_not = None, f"{missing[0]} is not here" if missing else ""
    if not missing:
        samples = len(open_mixture(recipe))
        why_not = "it does not fit here" if least > free_bytes else ""
    if not why_not:
        try:
            measured = measure(recipe)
        except torch.OutOfMemoryError:
            why_not, least = "the heaviest batch does not fit here", max(least, free_bytes + 1)
        except RecipeError as error:  # the base is not here
            why_not = str(error)
    return Plan(
        recipe=recipe,
        devices=state.num_processes,
        device=str(state.device),
        trained=trained,
        frozen=frozen,
        samples=samples,
        steps=steps_of(recipe, samples),
        least_bytes=least,
        free_bytes=free_bytes,
        measured=measured,
        why_not=why_not,
    )


def measure(recipe: Recipe) -> Measured:
    """Run a few steps as the run will: the heaviest batch of the epoch twice, then some spread over all of them."""
    state = processes()
    begin_count(state.device)
    built = build(recipe, state.device)
    tokens = built.model.config.num_image_tokens
    batches = global_batches(recipe, open_mixture(recipe), tokens)
    order = batches.epoch(0)
    weights = np.add.reduceat(batches.mixture.lengths(tokens)[order], np.arange(0, len(order), recipe.global_batch))
    whole = max(1, len(order) // recipe.global_batch)
    lightest_first = np.argsort(weights[:whole], kind="stable")
    spread = [int((n + 0.5) * whole / PROBES) for n in range(PROBES)]
    chosen = [int(batch) for batch in lightest_first[[-1, -1, *spread]]]
    with tempfile.TemporaryDirectory() as folder:
        loader = make_loader(
            replace(recipe, workers=0, max_faulty_share=1.0),
            batches,
            built.processor,
            Path(folder) / "faults.jsonl",
            rank=state.process_index,
            world_size=state.num_processes,
        )
        args = arguments(recipe, Path(folder), len(chosen), state.num_processes, [], state.device.type == "cpu")
        args.save_steps = len(chosen)
        stream, clock = _Probes(loader, chosen), _Clock()
        StageTrainer(built.lesson, stream, recipe, args, [clock]).train()
    pairs = list(zip(clock.steps[2:], stream.reads[2:], strict=True))
    each = [max(step, read / recipe.workers) if recipe.workers else step + read for step, read in pairs]
    return Measured(sum(each) / len(each), clock.save, peak_bytes(state.device), stream.tokens / stream.samples)


class _Probes(Stream):
    """Chosen batches one behind the other, and how long each took to read."""

    def __init__(self, loader: Loader, chosen: list[int]) -> None:
        super().__init__(loader)
        self.loader: Loader = loader
        self.chosen, self.reads = chosen, list[float]()
        self.tokens = self.samples = 0

    def __iter__(self) -> Iterator[Any]:
        for batch in self.chosen:
            began = time.perf_counter()
            self.loader.load_state_dict({**self.loader.state_dict(), "epoch": 0, "batch": batch})
            passes: Any = next(iter(self.loader))
            self.reads.append(time.perf_counter() - began)
            pad = passes[0]["input_ids"].flatten()[-1]  # at most a few samples end with what fills rows up
            self.tokens += sum(int((p["input_ids"] != pad).sum()) for p in passes)
            self.samples += self.loader.batches.size // self.loader.world_size
            yield from passes


class _Clock(TrainerCallback):
    """Seconds of each step, without reading, and of the checkpoint."""

    def __init__(self) -> None:
        self.steps, self.save, self.since = list[float](), 0.0, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.since = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.append(time.perf_counter() - self.since)
        self.since = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.save = time.perf_counter() - self.since


def _on_meta(recipe: Recipe) -> MiniGeminiForConditionalGeneration:
    """The model without weights: of the base's config, or of the published one while the base is not here."""
    try:
        config = load_config(find_base(recipe).folder)
    except RecipeError:
        name = "-".join(recipe.name.split("-")[:2])
        if name not in PUBLISHED:
            raise
        config = PUBLISHED[f"{name}-HD" if "-HD-" in recipe.name else name].config()
    with torch.device("meta"):
        return MiniGeminiForConditionalGeneration(configure(recipe, config))


def _weigh(
    recipe: Recipe, model: MiniGeminiForConditionalGeneration, device: torch.device
) -> tuple[Counter[str], Counter[str], int]:
    """Parameters that train and that are frozen, by part; and bytes of weights, gradients and moments."""
    plain = recipe if recipe.adapter == "none" else replace(recipe, adapter="none", stage="align")
    parts = stages.declared(plain, model.config)
    trained, frozen = Counter[str](), Counter[str]()
    for name, parameter in model.named_parameters():
        part = stages.part_of(name, parts)
        (frozen if part is None else trained)[part or part_of(name)] += parameter.numel()
    layers: Any = model.model.language_model.layers
    linears = [module for module in layers.modules() if isinstance(module, torch.nn.Linear)]
    if recipe.adapter != "none":
        frozen["originals beside PEFT's copies"] = trained.total()
        trained["adapter"] = sum(recipe.lora_rank * (x.in_features + x.out_features) for x in linears)
    each = stages.frozen_dtype(recipe.precision, device).itemsize
    held = each * frozen.total()
    if recipe.adapter == "qlora":
        in_4_bits = sum(x.weight.numel() for x in linears)
        held -= round((each - 0.5 - 4 / NF4_BLOCK) * in_4_bits)
    return trained, frozen, held + trained.total() * (4 + 4 + MOMENT_BYTES[recipe.optimiser])


def _duration(seconds: float) -> str:
    """E.g. 2 h 05 min."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes // 60} h {minutes % 60:02} min"
