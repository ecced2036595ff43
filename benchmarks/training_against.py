"""Steps of `minigemini train` beside TRL's SFTTrainer and Transformers' Trainer: same model, batches and losses.

    make test-trl                                    # the environment with TRL, once
    .venv-trl/bin/python benchmarks/training_against.py --keep runs/against
    .venv-trl/bin/python benchmarks/training_against.py --keep runs/against --only trl ours --rounds 1

All train the language model and the connector of `small` (SmolLM2-135M over two EfficientNets, which are frozen), in
float32, on the batches that `minigemini train` draws, with AdamW at a rate of 0, so that all steps start from the same
weights. They alternate in one process; `--keep` holds data and figures, so that rounds may be run piece by piece. The
losses must be equal up to rounding, or nothing is reported.

The data are records in LLaVA's format: a JPEG of 640 x 480 pixels and one to three turns. The words of a conversation
are drawn from a log-normal distribution (median 90, sigma 0.9, 12 to 480), 70 % of them in answers: most conversations
are short, and few are long. Both seconds of the clock and of the processor are shown; ratios are those of the
processor, which depend less on what else the machine does. With `--live`, rounds measure memory and not time: the
highest sum of tensors that forward and backward of the first step allocate, gradients included, from the profiler's
events. `--counts` prints what there is to compute in batches of several sizes, without a model.
"""

import argparse
import gc
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image
from torch.profiler import ProfilerActivity, profile
from transformers import TrainerCallback

from minigemini.data.encoding import IGNORED
from minigemini.data.packing import PackedCollator, PaddedCollator
from minigemini.training.build_model import enable_gradient_checkpointing

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "trl": ("trl", {}),
    "trainer": ("trainer", {}),
    "trainer-labels": ("trainer", {"return_logits": False}),
    "ours": ("ours", {}),
    "ours-padded": ("ours", {"padded": True}),
    "ours-stored": ("ours", {"gradient_checkpointing": False}),
    "ours-kept": ("ours", {"features": "features"}),
}
LABELS = {
    "trl": "TRL's SFTTrainer",
    "trainer": "Transformers' Trainer",
    "trainer-labels": "the same, `return_logits=False`",
    "ours": "`minigemini train`",
    "ours-padded": "the same, padded rows",
    "ours-stored": "`minigemini train`, `gradient_checkpointing=false`",
    "ours-kept": "`minigemini train`, `features=` full",
}
WORDS = ("a", "the", "red", "dog", "car", "street", "sign", "person", "table", "holding", "on", "near", "two", "of")
ANSWER_SHARE = 0.7
SAME = 2e-4
"""Largest relative difference between the losses of a step. Padding changes the order of sums, and the optimizer
amplifies it from step to step."""


def draw_photo(rng: np.random.Generator) -> Image.Image:
    """Draw a smooth picture with some noise, which compresses as a photograph does."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(
        (640, 480), Image.Resampling.BICUBIC
    )
    noise = rng.normal(0, 8, (480, 640, 1))
    return Image.fromarray(np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8))


def write_data(folder: Path, count: int) -> None:
    """Write records in LLaVA's format with their pictures."""
    if (folder / "chat.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    records = []
    for number in range(count):
        draw_photo(rng).save(folder / f"{number}.jpg", quality=88)
        words = int(np.clip(rng.lognormal(np.log(90), 0.9), 12, 480))
        turns = int(rng.integers(1, 4))
        said = []
        for turn in range(turns):
            for who, share in (("human", 1 - ANSWER_SHARE), ("gpt", ANSWER_SHARE)):
                text = " ".join(rng.choice(WORDS, max(1, round(words * share / turns))))
                image = "<image>\n" if turn == 0 and who == "human" else ""
                said.append({"from": who, "value": image + text})
        records.append({"id": str(number), "image": f"{number}.jpg", "conversations": said})
    (folder / "chat.json").write_text(json.dumps(records))


def make_recipe(args: argparse.Namespace, settings: dict[str, Any]) -> Any:
    from minigemini.training.recipe import DataPart, Recipe

    data = args.keep / "data"
    changes = {name: value for name, value in settings.items() if name == "gradient_checkpointing"}
    if "features" in settings:
        changes["features"] = str(args.keep / settings["features"])
    return Recipe(
        name="against",
        stage="instruct",
        base=args.base,
        data=(DataPart(str(data / "chat.json"), str(data)),),
        steps=args.steps,
        learning_rate=1e-30,  # a recipe takes no 0
        schedule="constant",
        warmup_ratio=0.0,
        global_batch=args.batch,
        micro_batch=args.batch,
        precision="fp32",
        max_length=1024,
        workers=0,
        save_steps=10**6,
        report_to="none",
        **changes,
    )


class Clock(TrainerCallback):
    """Seconds and losses of steps, and memory."""

    def __init__(self) -> None:
        self.ends = list[float]()
        self.processor = list[float]()
        self.losses = list[float]()

    def on_train_begin(self, *args: object, **kwargs: object) -> None:
        """Start the clock."""
        self.tick()

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self.tick()

    def on_pre_optimizer_step(self, *args: object, **kwargs: object) -> None:
        self.backward_end_ns = time.time_ns()

    def tick(self) -> None:
        self.ends.append(time.perf_counter())
        self.processor.append(time.process_time())

    def on_log(self, *args: object, logs: dict[str, float], **kwargs: object) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


def prepare_ours(recipe: Any, folder: Path, clock: Any, settings: dict[str, Any], built: Any) -> Callable[[], None]:
    from torch import nn

    from minigemini.modeling.onednn_linear import OneDnnLinear
    from minigemini.training import batches, run, run_setup
    from minigemini.training.trainer import StageTrainer

    def train() -> None:
        with ExitStack() as stack:
            for module, name, value in (
                (run_setup, "build", lambda recipe, device: built),  # of the model that all ways share
                (run_setup, "some_answers", lambda *args: []),
                (run, "ProgressCallback", lambda recipe: clock),
                (StageTrainer, "_save_checkpoint", lambda *args: None),
                (run, "_save", lambda *args: None),
                (run, "write_report", lambda *args: None),
            ):
                stack.enter_context(patch.object(module, name, value))
            if settings.get("padded"):  # `batching=grouped` would also put samples of similar length into a batch
                padded = patch.object(batches, "PackedCollator", lambda length, pad, width: PaddedCollator(pad))
                stack.enter_context(padded)
            run.train(recipe, folder)
        for module in built.model.modules():
            if isinstance(module, OneDnnLinear):  # the others have torch's
                module.__class__ = nn.Linear

    return train


def rows_for_others(recipe: Any, built: Any) -> list[dict[str, Any]]:
    """The samples in the order of the recipe."""
    from minigemini.training.batches import global_batches, open_mixture

    mixture = open_mixture(recipe)
    order = global_batches(recipe, mixture, built.model.config.num_image_tokens).epoch(0)
    rows = []
    for index in order[: recipe.steps * recipe.global_batch]:
        sample = mixture[int(index)]
        messages = [
            {"role": message["role"], "content": "".join(part.get("text", "") for part in message["content"])}
            for message in sample.messages
        ]
        rows.append({"images": [str(image) for image in sample.images], "messages": messages})
    return rows


def arguments_for_others(recipe: Any, folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.global_batch,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "bf16": False,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "train_sampling_strategy": "sequential",
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def prepare_trl(recipe: Any, folder: Path, clock: Any, settings: dict[str, Any], built: Any) -> Callable[[], Any]:
    from datasets import Dataset, List
    from datasets import Image as ImageFeature
    from trl import SFTConfig, SFTTrainer

    data = Dataset.from_list(rows_for_others(recipe, built)).cast_column("images", List(ImageFeature()))
    args = SFTConfig(**arguments_for_others(recipe, folder), max_length=None)
    forward = built.model.forward
    trainer = SFTTrainer(
        built.model, args=args, train_dataset=data, processing_class=built.processor, callbacks=[clock]
    )

    def train() -> None:
        trainer.train()
        built.model.forward = forward  # TRL has replaced it

    return train


def prepare_trainer(recipe: Any, folder: Path, clock: Any, settings: dict[str, Any], built: Any) -> Callable[[], Any]:
    from transformers import Trainer, TrainingArguments

    def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
        conversations = []
        for sample in samples:
            first, *others = sample["messages"]
            pictures = [{"type": "image", "image": Image.open(path)} for path in sample["images"]]
            content = [*pictures, {"type": "text", "text": first["content"]}]
            conversations.append([{"role": first["role"], "content": content}, *others])
        inputs = built.processor.apply_chat_template(
            conversations,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "right"},
        )
        learned = inputs.pop("assistant_masks")
        inputs["labels"] = inputs["input_ids"].masked_fill(learned == 0, -100)
        return dict(inputs)

    class SameLoss(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            return super().compute_loss(model, {**inputs, **settings}, *args, **kwargs)

    args = TrainingArguments(**arguments_for_others(recipe, folder), remove_unused_columns=False)
    rows: Any = rows_for_others(recipe, built)
    return SameLoss(built.model, args, train_dataset=rows, data_collator=collate, callbacks=[clock]).train


PREPARE: dict[str, Callable[..., Callable[[], Any]]] = {
    "ours": prepare_ours,
    "trl": prepare_trl,
    "trainer": prepare_trainer,
}


def build_model(args: argparse.Namespace) -> Any:
    import torch

    from minigemini.training.build_model import build

    return build(make_recipe(args, {"gradient_checkpointing": False}), torch.device("cpu"))


def measure(way: str, args: argparse.Namespace, built: Any) -> None:
    """Run one way and add its figures to those kept."""
    kind, settings = WAYS[way]
    recipe, clock = make_recipe(args, settings), Clock()
    built.model.gradient_checkpointing_disable()
    if recipe.gradient_checkpointing and kind == "ours":
        enable_gradient_checkpointing(built.model.model.language_model)
    folder = args.keep / f"run {way} {os.getpid()} {time.monotonic_ns()}"
    train = PREPARE[kind](recipe, folder, clock, settings, built)
    gc.collect()  # what the last way has left would be freed in this one's profile
    live: float | None = None
    if args.live:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            train()
        live = peak_live_bytes(profiler, clock.backward_end_ns)
    else:
        train()
    built.model.zero_grad()
    steps, processor = (np.diff(ends).tolist() for ends in (clock.ends, clock.processor))
    figures = {"way": way, **shape_of(args), "seconds": steps, "processor": processor}
    figures |= {"losses": clock.losses[: len(steps)], "live": live}
    with (args.keep / "figures.jsonl").open("a") as file:
        file.write(json.dumps(figures) + "\n")


def peak_live_bytes(profiler: Any, end_ns: int) -> float:
    """The highest sum of tensors that were allocated until a time, from the profiler's allocation events."""
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.start_ns() < end_ns:
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def shape_of(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in ("base", "batch", "steps", "threads")}


def print_counts(args: argparse.Namespace) -> None:
    """Print tokens and labels of batches of several sizes, packed and padded, averaged over what data there is."""
    from minigemini.io.adapters import find_model_source
    from minigemini.io.loading import load_config, load_processor
    from minigemini.training.batches import encoder_of, global_batches, open_mixture

    folder = find_model_source(args.base).folder
    config = load_config(folder)
    recipe = make_recipe(args, {})
    mixture, encode = open_mixture(recipe), encoder_of(recipe, load_processor(folder, config))
    order = global_batches(recipe, mixture, config.num_image_tokens).epoch(0)
    samples = [encode(mixture[int(index)]) for index in order]
    width = config.text_config.hidden_size
    print("| samples in a batch | tokens | packed | padded | padded over packed | labels |")
    print("|---|---|---|---|---|---|")
    for size in (2, 4, 8, 16, 32):
        batches = [samples[start : start + size] for start in range(0, len(samples), size)]
        packed = sum(PackedCollator(recipe.max_length, 0, width=width)(batch)["input_ids"].numel() for batch in batches)
        padded = sum(size * max(map(len, batch)) for batch in batches)
        tokens = sum(map(len, samples))
        labels = sum(int((sample.labels != IGNORED).sum()) for sample in samples)
        per = [value / len(batches) for value in (tokens, packed, padded, labels)]
        cells = [f"{value:,.0f}" for value in per]
        print(f"| {size} | {cells[0]} | {cells[1]} | {cells[2]} | {padded / packed:.2f} | {cells[3]} |")


def report(args: argparse.Namespace) -> None:
    lines = [json.loads(line) for line in (args.keep / "figures.jsonl").read_text().splitlines()]
    shape = shape_of(args)
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if all(line[name] == value for name, value in shape.items()):
            found.setdefault(line["way"], []).append(line)
    if not {"ours", "trl"} <= found.keys():
        sys.exit("nothing to compare: run --only ours trl with these settings first")
    reference = found["ours"][0]["losses"]
    off = 0.0
    for way, runs in found.items():
        pairs = zip(runs[0]["losses"], reference, strict=True)
        differences = [abs(loss / other - 1) for loss, other in pairs]
        print(f"{LABELS[way]}: losses {', '.join(f'{loss:.4f}' for loss in runs[0]['losses'])}")
        if "features" not in WAYS[way][1]:  # those are rounded to bfloat16
            off = max(off, *differences)
    print(f"All are within {off:.1e} of ours.")
    if off > SAME:
        sys.exit("the losses differ, so the comparison says nothing")
    print("| | s/step | processor s | samples/s | times TRL | live tensors, MB | share of TRL's |")
    print("|---|---|---|---|---|---|---|")

    def middle(way: str, figure: Callable[[dict[str, Any]], float], live: bool) -> float:
        """The median over the rounds that measured memory, or time."""
        values = [figure(run) for run in found[way] if (run["live"] is not None) is live]
        return statistics.median(values) if values else math.nan

    def seconds(way: str, clock: str) -> float:
        return middle(way, lambda run: statistics.mean(run[clock]), False)

    for way in found:
        wall, own, trl = seconds(way, "seconds"), seconds(way, "processor"), seconds("trl", "processor")
        live, of_trl = (middle(name, lambda run: run["live"] / 1e6, True) for name in (way, "trl"))
        cells = [f"{wall:.1f}", f"{own:.1f}", f"{args.batch / own:.3f}", f"{trl / own:.2f}"]
        cells += [f"{live:,.0f}", f"{live / of_trl:.2f}"]
        print(f"| {LABELS[way]} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, default=Path("runs/against"), help="folder of data and figures")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=2, help="0 prints the figures that were kept")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--base", default="small")
    parser.add_argument("--live", action="store_true", help="measure memory, not time")
    parser.add_argument("--counts", action="store_true")
    args = parser.parse_args()
    write_data(args.keep / "data", 64)
    if args.counts:
        print_counts(args)
        return
    import torch

    torch.set_num_threads(args.threads)
    built = build_model(args) if args.rounds else None
    for _ in range(args.rounds):
        for way in args.only:
            measure(way, args, built)
    report(args)


if __name__ == "__main__":
    main()
