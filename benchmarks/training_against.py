"""Steps of `minigemini train` beside TRL's SFTTrainer and Transformers' Trainer: same model, batches and losses.

    make test-trl                                    # the environment with TRL, once
    .venv-trl/bin/python benchmarks/training_against.py --keep runs/against
    .venv-trl/bin/python benchmarks/training_against.py --keep runs/against --only trl ours --rounds 1

All train the language model and the connector of `small` (SmolLM2-135M over two EfficientNets, which are frozen), in
float32, with AdamW at a constant rate, on the batches that `minigemini train` draws. Every way runs in a process of its
own, one after the other in each round, from the same weights; `--keep` holds data and figures, so that rounds may be
run piece by piece. The losses of all steps must be equal up to rounding, or nothing is reported.

The data are records in LLaVA's format: a JPEG of 640 x 480 pixels and one to three turns. The words of a conversation
are drawn from a log-normal distribution (median 90, sigma 0.9, 12 to 480), 70 % of them in answers: most conversations
are short, and few are long. Seconds are those of the clock, the first step included. "Peak" is the
highest resident memory of the process; "step" is what of it comes on top of the model, its gradients and moments.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from transformers import TrainerCallback

from minigemini.io.system import peak_resident_bytes, reset_peak_resident

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
        learning_rate=2e-5,
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
        self.losses = list[float]()

    def on_train_begin(self, *args: object, model: Any, **kwargs: object) -> None:
        """Note the memory before training, and start the clock."""
        reset_peak_resident()
        self.loaded = psutil.Process().memory_info().rss
        self.trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        self.ends.append(time.perf_counter())

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self.ends.append(time.perf_counter())

    def on_log(self, *args: object, logs: dict[str, float], **kwargs: object) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


def run_ours(recipe: Any, folder: Path, clock: Any, settings: dict[str, Any]) -> None:
    from minigemini.data.packing import PaddedCollator
    from minigemini.training import batches, run

    if settings.get("padded"):  # `batching=grouped` would also put samples of similar length into a batch
        batches.PackedCollator = lambda row_length, pad: PaddedCollator(pad)  # type: ignore[misc, assignment]
    run.ProgressCallback = lambda recipe: clock  # type: ignore[misc, assignment]
    run._save = lambda *args: None
    run.write_report = lambda *args: None
    run.train(recipe, folder)


def built_for_others(recipe: Any) -> tuple[Any, Any, list[dict[str, Any]]]:
    """The model with the same parameters to train, its processor, and the samples in the order of the recipe."""
    import torch

    from minigemini.training.batches import global_batches, open_mixture
    from minigemini.training.build_model import build

    built = build(replace(recipe, gradient_checkpointing=False), torch.device("cpu"))
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
    return built.model, built.processor, rows


def arguments_for_others(recipe: Any, folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.global_batch,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "bf16": False,
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "train_sampling_strategy": "sequential",
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def run_trl(recipe: Any, folder: Path, clock: Any, settings: dict[str, Any]) -> None:
    from datasets import Dataset, List
    from datasets import Image as ImageFeature
    from trl import SFTConfig, SFTTrainer

    model, processor, rows = built_for_others(recipe)
    data = Dataset.from_list(rows).cast_column("images", List(ImageFeature()))
    args = SFTConfig(**arguments_for_others(recipe, folder), max_length=None)
    trainer = SFTTrainer(model, args=args, train_dataset=data, processing_class=processor, callbacks=[clock])
    trainer.train()


def run_trainer(recipe: Any, folder: Path, clock: Any, settings: dict[str, Any]) -> None:
    from transformers import Trainer, TrainingArguments

    model, processor, rows = built_for_others(recipe)
    model.generation_config.do_sample = False

    def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
        conversations = []
        for sample in samples:
            first, *others = sample["messages"]
            pictures = [{"type": "image", "image": Image.open(path)} for path in sample["images"]]
            content = [*pictures, {"type": "text", "text": first["content"]}]
            conversations.append([{"role": first["role"], "content": content}, *others])
        inputs = processor.apply_chat_template(
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
    trainer = SameLoss(model, args, train_dataset=rows, data_collator=collate, callbacks=[clock])  # type: ignore[arg-type]
    trainer.train()


RUNS: dict[str, Callable[..., None]] = {"ours": run_ours, "trl": run_trl, "trainer": run_trainer}


def child(way: str, args: argparse.Namespace) -> None:
    """Run one way and add its figures to those kept."""
    import torch

    torch.set_num_threads(args.threads)
    kind, settings = WAYS[way]
    recipe, clock = make_recipe(args, settings), Clock()
    folder = args.keep / f"run {way} {os.getpid()}"
    RUNS[kind](recipe, folder, clock, settings)
    steps = np.diff(clock.ends).tolist()
    shape = {name: getattr(args, name) for name in ("base", "batch", "steps", "threads")}
    figures = {"way": way, **shape, "seconds": steps, "losses": clock.losses[: len(steps)]}
    figures |= {"fixed": clock.loaded + 12 * clock.trained, "peak": peak_resident_bytes()}
    with (args.keep / "figures.jsonl").open("a") as file:
        file.write(json.dumps(figures) + "\n")


def report(args: argparse.Namespace) -> None:
    lines = [json.loads(line) for line in (args.keep / "figures.jsonl").read_text().splitlines()]
    shape = {name: getattr(args, name) for name in ("base", "batch", "steps", "threads")}
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if all(line[name] == value for name, value in shape.items()):
            found.setdefault(line["way"], []).append(line)
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
    base = found["trl"]
    print("| | s/step | samples/s | times TRL | peak, GB | share of TRL's | step, GB | share |")
    print("|---|---|---|---|---|---|---|---|")

    def seconds(runs: list[dict[str, Any]]) -> float:
        return statistics.median(statistics.mean(run["seconds"]) for run in runs)

    def peak(runs: list[dict[str, Any]], own: bool) -> float:
        return statistics.median(run["peak"] - own * run["fixed"] for run in runs) / 1e9

    for way in WAYS:
        if way in found:
            runs = found[way]
            time_cells = f"{seconds(runs):.2f} | {args.batch / seconds(runs):.3f} | {seconds(base) / seconds(runs):.2f}"
            cells = [f"{peak(runs, own):.2f} | {peak(runs, own) / peak(base, own):.2f}" for own in (False, True)]
            print(f"| {LABELS[way]} | {time_cells} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, default=Path("runs/against"), help="folder of data and figures")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=2, help="0 prints the figures that were kept")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--base", default="small")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args)
        return
    write_data(args.keep / "data", 64)
    for _ in range(args.rounds):
        for way in args.only:
            words = sys.argv[1:]
            subprocess.run([sys.executable, "-W", "ignore", __file__, *words, "--child", way], check=True)
    report(args)


if __name__ == "__main__":
    main()
