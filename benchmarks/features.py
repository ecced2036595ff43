"""Effect of the feature cache: steps without it, with an empty one, and with a full one.

    python benchmarks/features.py                    # nano, both stages: minutes
    python benchmarks/features.py --stage instruct --steps 20

Each run goes through the same drawn scenes from the same weights, in one process of one thread, its loader included.
Two steps before those that count are for what happens once. Time is that of the processor. Runs with a folder have the
same losses; the one without holds the encoders' outputs in float32 and not bfloat16, which is the difference shown.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from transformers import TrainerCallback

from minigemini.training import run
from minigemini.training.recipe import DataPart, Recipe

WARM_UP = 2
DRAWN = {"align": "captions", "instruct": "lessons"}


class Clock(TrainerCallback):
    """Processor seconds at the end of each step."""

    def __init__(self) -> None:
        self.at = list[float]()

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self.at.append(time.process_time())


def seconds_per_step(recipe: Recipe, folder: Path) -> tuple[float, list[float]]:
    clock, bar = Clock(), run.ProgressCallback
    run.ProgressCallback = lambda recipe: clock  # in its place
    try:
        run.train(recipe, folder)
    finally:
        run.ProgressCallback = bar
    steps = len(clock.at) - WARM_UP
    losses = [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]
    return (clock.at[-1] - clock.at[-1 - steps]) / steps, losses


def measure(stage: str, args: argparse.Namespace, root: Path) -> None:
    recipe = Recipe(
        name=f"nano-{stage}",
        stage=stage,
        base=args.base,
        data=(DataPart(f"synthetic:{DRAWN[stage]}#{(args.steps + WARM_UP) * args.batch}"),),
        learning_rate=1e-3,
        global_batch=args.batch,
        micro_batch=args.batch,
        precision="fp32",
        max_length=384,
        gradient_checkpointing=False,
        workers=0,
        save_steps=10**6,
        report_to="none",
    )
    keeping = replace(recipe, features=str(root / "features"))
    found = {
        name: seconds_per_step(way, root / f"{stage} {name}")
        for name, way in (("without", recipe), ("empty folder", keeping), ("full folder", keeping))
    }
    kept = sum(file.stat().st_size for file in (root / "features").glob("*/*.safetensors"))
    assert found["empty folder"][1] == found["full folder"][1], "a run learnt something else"
    without, losses = found["without"]
    off = max(abs(ours / theirs - 1) for ours, theirs in zip(losses, found["full folder"][1], strict=True))
    for name, (seconds, _) in found.items():
        rate = f"{args.batch / seconds:.2f} | {without / seconds:.2f}"
        print(f"| {stage}, {name} | {seconds:.3f} | {rate} |", flush=True)
    print(f"  {stage}: {kept / 1e6:.0f} MB kept so far, losses within {off:.1e} of the run without")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", nargs="+", choices=("align", "instruct"), default=("align", "instruct"))
    parser.add_argument("--base", default="nano", help="checkpoint to start from")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| run | processor seconds per step | samples/s | times |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for stage in args.stage:
            measure(stage, args, Path(folder))


if __name__ == "__main__":
    main()
