"""Training sharded by FSDP2 on all GPUs beside one process: the same losses, seconds a step and memory of each rank.

    python benchmarks/gpu/fsdp2.py                         # needs two GPUs or more
    python benchmarks/gpu/fsdp2.py --device cpu --tiny     # a dry run: two processes over gloo

Both run `minigemini train` on the same samples; the processes of the sharded run get the environment that
`accelerate launch --config_file examples/accelerate/fsdp2.yaml` sets.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import case
import torch
from PIL import Image

STEPS, SAMPLES = 6, 48
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import fsdp_on_cpu  # noqa: E402 (of the tests)


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Figures of both runs."""
    processes = 2 if device.type == "cpu" else torch.cuda.device_count()
    if processes < 2:
        raise case.Skipped("one GPU only; FSDP2 shards over two or more")
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        folder = Path(temporary)
        processor, config = case.make_processor_and_config(args.size)
        case.make_model(config, torch.device("cpu"), torch.float32).save_pretrained(folder / "base")
        processor.save_pretrained(folder / "base")
        write_records(folder / "data")
        figures: dict[str, Any] = {"processes": processes}
        losses = {}
        for name, count in (("one process", 1), ("FSDP2", processes)):
            run(folder, name, count, device.type)
            log = (folder / name / "log.jsonl").read_text().splitlines()
            losses[name] = [json.loads(line)["loss"] for line in log]
            found = json.loads((folder / name / "figures.json").read_text())
            figures[f"{name}, s/step"] = found["seconds per step"]
            figures[f"{name}, peak of a rank, GB"] = found["peak memory, GB"]
    pairs = zip(losses["FSDP2"], losses["one process"], strict=True)
    figures["largest relative difference of losses"] = max(abs(ours / theirs - 1) for ours, theirs in pairs)
    return figures


def write_records(folder: Path) -> None:
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (96, 64), (60 * number, 90, 200)).save(folder / f"{number}.png")
    records = []
    for number in range(SAMPLES):
        turns = [("human", "<image>\nWhat is it?"), ("gpt", "It is a valve. " * (1 + number % 7))]
        said = [{"from": who, "value": text} for who, text in turns]
        records.append({"id": str(number), "image": f"{number % 4}.png", "conversations": said})
    (folder / "chat.json").write_text(json.dumps(records))


def run(folder: Path, name: str, processes: int, device: str) -> None:
    """Train in this many processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), __file__, "--device", device]
    worker = json.dumps([str(folder), name, processes > 1])
    environment = {**os.environ, **(fsdp_on_cpu.SETTINGS if processes > 1 else {})}
    if processes == 1 and device != "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = "0"
    done = subprocess.run([*command, "--worker", worker], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")


def work(folder: Path, name: str, sharded: bool, device: str) -> None:
    """One process of a run."""
    from minigemini.training.recipe import DataPart, Recipe
    from minigemini.training.run import train

    if sharded and device == "cpu":  # Accelerate shards on accelerators only
        fsdp_on_cpu.state.AcceleratorState.__init__ = fsdp_on_cpu.init_sharded
    if device == "cpu":
        torch.set_num_threads(1)
    recipe = Recipe(
        name="fsdp2",
        stage="instruct",
        base=str(folder / "base"),
        data=(DataPart(str(folder / "data" / "chat.json"), str(folder / "data")),),
        learning_rate=1e-5,
        global_batch=8,
        micro_batch=1,
        steps=STEPS,
        workers=0,
        save_steps=10**6,
        report_to="none",
    )
    train(recipe, folder / name)


if __name__ == "__main__":
    arguments = case.parse(__doc__, worker=True)
    if arguments.worker:
        folder, name, sharded = json.loads(arguments.worker)
        work(Path(folder), name, sharded, arguments.device)
    else:
        case.main(measure, arguments)
