"""Plans compared with the runs that they predict: nano's recipes, planned in one process and run in another.

    python benchmarks/plan.py                        # five recipes of 60 steps: minutes
    python benchmarks/plan.py --only encoders language-with-labels --steps 24 --batch 4

Each is planned from a few steps, then run and measured. The samples of stage 2 are conversations about synthetic
scenes, written as published records with PNG files, a fifth of them text only; those of earlier steps are generated on
the fly. Both measure CPU seconds of one thread, because wall time on a shared machine depends on other processes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from minigemini_models.samples.conversations import conversation
from minigemini_models.scenes.composition import sample_scene

SETTINGS: dict[str, dict[str, object]] = {
    "instruct": {"stage": "instruct"},
    "instruct, padded rows": {"stage": "instruct", "batching": "grouped"},
    "lora": {"stage": "instruct", "adapter": "lora", "lora_rank": 16},
    **{task: {"task": task, "learning_rate": 1e-3} for task in ("encoders", "language-with-labels")},
}
CHILD = """
import json, sys, time
time.perf_counter = time.monotonic = time.process_time
from pathlib import Path
import torch
torch.set_num_threads(1)
from minigemini.training.estimate import make_plan
from minigemini.training.recipe import DataPart, Recipe
from minigemini_models.pretraining.pretraining_recipe import Pretraining
from minigemini.training.run import train
what, data, folder, settings = sys.argv[1:]
settings = json.loads(settings)
if "task" in settings:
    recipe = Pretraining(name="nano", **settings)
else:
    recipe = Recipe(name="nano", base="nano", data=(DataPart(data + "/scenes.json", data),), **settings)
if what == "plan":
    plan = make_plan(recipe)
    print(plan.text(), file=sys.stderr)
    print(json.dumps({"all": plan.seconds, "peak": plan.measured.peak_bytes}))
else:
    train(recipe, Path(folder))
"""


def write_scenes(folder: Path, count: int) -> None:
    records = []
    for seed in range(count):
        scene, seen = sample_scene(seed), seed % 5 > 0
        turns = conversation(scene, np.random.default_rng(seed), max_turns=1 + seed % 5)
        if seen:
            scene.draw()[0].save(folder / f"{seed}.png")
        pairs = [(turn.question, turn.answer) for turn in turns]
        lines = [
            {"from": who, "value": text} for turn in pairs for who, text in zip(("human", "gpt"), turn, strict=True)
        ]
        lines[0]["value"] = "<image>\n" * seen + lines[0]["value"]
        records.append({"id": str(seed), "conversations": lines} | ({"image": f"{seed}.png"} if seen else {}))
    (folder / "scenes.json").write_text(json.dumps(records))


def run(what: str, data: Path, folder: Path, settings: dict[str, object]) -> str:
    words = [sys.executable, "-W", "ignore", "-c", CHILD, what, str(data), str(folder), json.dumps(settings)]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=SETTINGS)
    args = parser.parse_args()
    common = {"global_batch": args.batch, "micro_batch": args.batch, "precision": "fp32"}
    common |= {"workers": 0, "save_steps": 20, "report_to": "none"}
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        if any("stage" in SETTINGS[name] for name in args.only):
            write_scenes(data, args.steps * args.batch)
        print("| run | steps and checkpoints, s: planned | measured | memory, GB: planned | measured |")
        print("|---|---|---|---|---|")
        for name in args.only:
            of_stage = {"max_length": 512, "gradient_checkpointing": False}
            settings = common | SETTINGS[name] | (of_stage if "stage" in SETTINGS[name] else {"steps": args.steps})
            planned = json.loads(run("plan", data, data / name, settings))
            run("train", data, data / name, settings)
            found = json.loads((data / name / "figures.json").read_text())
            pairs = [
                (planned["all"], found["seconds of training"]),
                (planned["peak"] / 1e9, found["peak memory, GB"]),
            ]
            cells = [f"{plan:.3f} | {real:.3f} ({plan / real - 1:+.1%})" for plan, real in pairs]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
