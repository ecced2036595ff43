"""Runs that are killed, stopped, damaged and starved of disk, and what is left of it at the end.

    python benchmarks/resume.py                      # nano, 5 kills: minutes
    python benchmarks/resume.py --kills 20 --seed 1 -- nano-low-res-encoder steps=40 global_batch=8 micro_batch=8

One run is left alone. Others of the same recipe, each a process of its own, are

- killed (SIGKILL) at random moments, so many times, and started again each time;
- stopped (Ctrl-C's SIGINT) at a random moment, and started again;
- robbed of their newest checkpoint: a byte of it is turned over, and they are started again;
- kept from writing whole checkpoints by a limit on the size of files, as on a full disk.

Then losses of every step, and bytes of the weights that are left, are compared with those of the run left alone. A
step is repeated where the log had it already when a run ended. By default stage 2 of nano with an adapter: dropout,
two passes a step, a worker, a checkpoint after every second step.
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
"""Each run is a process of its own, which does not have to import torch anew."""


def go(words: list[str], folder: Path, errors: Path, most_bytes: int | None) -> None:
    """In a new process: a run whose files may grow to so many bytes."""
    with errors.open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    if most_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # to be told by an error, as by a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    torch.set_num_threads(1)
    try:
        train(find_recipe(words[0]).changed(parse_settings(words[1:])), folder)
    except KeyboardInterrupt:
        sys.exit(130)


def start(words: list[str], folder: Path, most_bytes: int | None = None) -> Any:
    (folder / "log.jsonl").unlink(missing_ok=True)  # a run that goes on writes it anew, from its checkpoint
    process = PROCESSES.Process(target=go, args=(words, folder, folder.with_suffix(".err"), most_bytes))
    process.start()
    return process


def finish(words: list[str], folder: Path, most_bytes: int | None = None) -> str:
    """Let a run come to its end; gives what it said."""
    process = start(words, folder, most_bytes)
    process.join()
    said = folder.with_suffix(".err").read_text()
    if process.exitcode:
        raise SystemExit(f"a run ended with {process.exitcode}: {said[-2000:]}")
    return said


def losses(folder: Path) -> dict[int, float]:
    """By step, of the log; a line that a kill has cut is none."""
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
    """Send a signal at a random moment of the next few steps; gives the last step logged and that of the newest
    checkpoint, None if the run was over before."""
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
    """Losses that differ, bytes of the last checkpoint's weights that do, and how many there are of each."""
    mine, other = losses(ours), losses(theirs)
    steps = mine.keys() | other.keys()
    differing = sum(mine.get(step) != other.get(step) for step in steps)
    weights = [(folder / f"checkpoint-{max(other)}" / "trained.safetensors").read_bytes() for folder in (ours, theirs)]
    bytes_off = sum(a != b for a, b in zip(*weights, strict=True))
    return f"{differing} of {len(steps)} | {bytes_off} of {len(weights[1]):,}"


def damage(folder: Path) -> str:
    """Turn a byte of the newest checkpoint over; gives the file's name."""
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
        said = finish(words, root / "damaged")
        named = [line for line in said.splitlines() if "the one before it is taken" in line]
        assert len(named) == 1, said
        assert harmed.split("/")[0] in named[0]
        print(f"| killed, a byte of {harmed} turned over | {at[0]} | {at[1]} | {at[0] - at[1]} |", flush=True)

        steps = max(losses(whole))
        state = whole / f"checkpoint-{steps}" / "optimizer.pt"
        said = finish(words, root / "full", state.stat().st_size - 1)
        lost = said.count("not written")
        assert lost
        assert not checkpointing.checkpoints(root / "full")
        print(f"| no room for a checkpoint, {lost} times | {steps} | was not interrupted | 0 |")

        print("\n| run | losses that differ | bytes of the final weights that differ |\n|---|---|---|")
        for name, times in (("killed", killed), ("stopped", stopped), ("damaged", 1)):
            print(f"| {name}, {times} time{'s' * (times > 1)} | {compare(root / name, whole)} |")
        mine, other = losses(root / "full"), losses(whole)
        print(f"| without checkpoints | {sum(mine.get(s) != other[s] for s in other)} of {len(other)} | (none kept) |")
        for line in (named[0], next(line for line in said.splitlines() if "not written" in line)):
            print("\n    minigemini: " + line.rpartition("minigemini: ")[2].replace(str(root), "…"))


if __name__ == "__main__":
    main()
