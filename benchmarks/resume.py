"""Runs that are killed, stopped, damaged or out of disk space, and whether they end with the same result.

    python benchmarks/resume.py                      # nano, 5 kills: minutes
    python benchmarks/resume.py --kills 20 --seed 1 -- nano-encoders steps=40 global_batch=8 micro_batch=8

One run is not disturbed. Others of the same recipe, each in its own process, are

- killed (SIGKILL) at random moments, `--kills` times, and restarted each time;
- stopped (SIGINT, as by Ctrl-C) at a random moment, and restarted;
- damaged: a byte of the newest checkpoint is flipped, and the run is restarted;
- prevented from completing checkpoints by a limit on the size of files, as on a full disk.

Then the losses of every step and the bytes of the final weights are compared with those of the undisturbed run. A step
is repeated if the log had it already when a run ended. By default stage 2 of nano with an adapter: dropout,
two passes per step, a worker, a checkpoint every two steps.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from minigemini.training import checkpointing
from minigemini.training.recipe_registry import find_recipe
from minigemini.training.run import train
from minigemini.training.settings import parse_settings

RECIPE = (
    *("nano-instruct", "base=nano", "data=synthetic:lessons#96", "adapter=lora", "lora_rank=8", "lora_dropout=0.3"),
    *("steps=24", "global_batch=4", "micro_batch=2", "workers=1", "save_steps=2", "report_to=none"),
)
PATIENCE_S = 600
PROCESSES = multiprocessing.get_context("forkserver")
"""Each run is a forked process, which need not import torch again."""


def go(words: list[str], folder: Path, errors: Path, most_bytes: int | None) -> None:
    """Train in a new process, with a limit on the size of its files in bytes."""
    with errors.open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    if most_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing then raises an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    torch.set_num_threads(1)
    try:
        train(find_recipe(words[0]).changed(parse_settings(words[1:])), folder)
    except KeyboardInterrupt:
        sys.exit(130)


def start(words: list[str], folder: Path, most_bytes: int | None = None) -> Any:
    (folder / "log.jsonl").unlink(missing_ok=True)  # a resumed run rewrites it from its checkpoint
    process = PROCESSES.Process(target=go, args=(words, folder, folder.with_suffix(".err"), most_bytes))
    process.start()
    return process


def finish(words: list[str], folder: Path, most_bytes: int | None = None) -> str:
    """Run to the end and return stderr."""
    process = start(words, folder, most_bytes)
    process.join()
    stderr = folder.with_suffix(".err").read_text()
    if process.exitcode:
        raise SystemExit(f"a run ended with {process.exitcode}: {stderr[-2000:]}")
    return stderr


def losses(folder: Path) -> dict[int, float]:
    """Losses by step, from the log; an incomplete last line is ignored."""
    path, found = folder / "log.jsonl", {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.endswith("}"):
            entry = json.loads(line)
            found[entry["step"]] = entry["loss"]
    return found


def newest(folder: Path) -> int:
    found = checkpointing.checkpoints(folder)
    return checkpointing.step_of(found[0]) if found else 0


def interrupt(words: list[str], folder: Path, number: signal.Signals, chance: random.Random) -> tuple[int, int] | None:
    """Send a signal at a random moment of the next few steps.

    Returns the last logged step and that of the newest checkpoint; None if the run ended before.
    """
    until = newest(folder) + chance.randrange(1, 7)
    process, deadline = start(words, folder), time.monotonic() + PATIENCE_S
    while max(losses(folder), default=0) < until and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(chance.random() * 0.5)
    if not process.is_alive():
        return None
    os.kill(process.pid, number)
    process.join()
    return max(losses(folder)), newest(folder)


def compare(ours: Path, theirs: Path) -> str:
    """Count differing losses and bytes of the last checkpoint's weights, and the total of each."""
    mine, other = losses(ours), losses(theirs)
    steps = mine.keys() | other.keys()
    differing = sum(mine.get(step) != other.get(step) for step in steps)
    weights = [(folder / f"checkpoint-{max(other)}" / "trained.safetensors").read_bytes() for folder in (ours, theirs)]
    bytes_off = sum(a != b for a, b in zip(*weights, strict=True))
    return f"{differing} of {len(steps)} | {bytes_off} of {len(weights[1]):,}"


def damage(folder: Path) -> str:
    """Flip a byte of the newest checkpoint and return the file's name."""
    file = max(
        (file for file in checkpointing.checkpoints(folder)[0].iterdir() if file.suffix == ".safetensors"),
        key=lambda file: file.stat().st_size,
    )
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    return f"{file.parent.name}/{file.name}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("recipe", nargs="*", default=RECIPE, help="as `minigemini train` takes it")
    args = parser.parse_args()
    words, chance = list(args.recipe), random.Random(args.seed)
    PROCESSES.set_forkserver_preload(["minigemini.training.run", "minigemini.training.published_recipes"])
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        whole = root / "whole"
        finish(words, whole)

        print("| what happened | last step logged | went on after step | steps repeated |\n|---|---|---|---|")
        repeated = {"killed": 0, "stopped": 0}
        killed = stopped = 0
        for name, number, count in (("killed", signal.SIGKILL, args.kills), ("stopped", signal.SIGINT, 1)):
            for _ in range(count):
                at = interrupt(words, root / name, number, chance)
                if at is None:
                    break
                killed, stopped = killed + (name == "killed"), stopped + (name == "stopped")
                repeated[name] += at[0] - at[1]
                print(f"| {name} ({number.name}) | {at[0]} | {at[1]} | {at[0] - at[1]} |", flush=True)
            finish(words, root / name)

        interrupt(words, root / "damaged", signal.SIGKILL, chance)
        while len(checkpointing.checkpoints(root / "damaged")) < 2:  # one to damage, and one before it
            interrupt(words, root / "damaged", signal.SIGKILL, chance)
        harmed = damage(root / "damaged")
        at = max(losses(root / "damaged")), checkpointing.step_of(checkpointing.checkpoints(root / "damaged")[1])
        stderr = finish(words, root / "damaged")
        named = [line for line in stderr.splitlines() if "the one before it is taken" in line]
        assert len(named) == 1, stderr
        assert harmed.split("/")[0] in named[0]
        print(f"| killed, a byte of {harmed} turned over | {at[0]} | {at[1]} | {at[0] - at[1]} |", flush=True)

        steps = max(losses(whole))
        state = whole / f"checkpoint-{steps}" / "optimizer.pt"
        stderr = finish(words, root / "full", state.stat().st_size - 1)
        lost = stderr.count("not written")
        assert lost
        assert not checkpointing.checkpoints(root / "full")
        print(f"| no room for a checkpoint, {lost} times | {steps} | was not interrupted | 0 |")

        print("\n| run | losses that differ | bytes of the final weights that differ |\n|---|---|---|")
        for name, times in (("killed", killed), ("stopped", stopped), ("damaged", 1)):
            print(f"| {name}, {times} time{'s' * (times > 1)} | {compare(root / name, whole)} |")
        mine, other = losses(root / "full"), losses(whole)
        print(f"| without checkpoints | {sum(mine.get(s) != other[s] for s in other)} of {len(other)} | (none kept) |")
        for line in (named[0], next(line for line in stderr.splitlines() if "not written" in line)):
            print("\n    minigemini: " + line.rpartition("minigemini: ")[2].replace(str(root), "…"))


if __name__ == "__main__":
    main()
