"""Two processes over gloo train like one, and stop, save and resume together."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_training import losses, tiny_recipe, write_data

from minigemini.inference import Engine
from minigemini.training.checkpointing import checkpoints
from minigemini.training.run import train
from minigemini.training.settings import RecipeError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
TRAIN_PROGRAM = ROOT / "tests" / "tiny_training.py"
SHARDED_PROGRAM = ROOT / "tests" / "fsdp_on_cpu.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory, image):
    """Two rows of three have an image: batches are text-only, image-only, or mixed."""
    return write_data(tmp_path_factory.mktemp("data"), image)


def start(base: Path, data: Path, folder: Path, program: Path = TRAIN_PROGRAM, **changes) -> subprocess.Popen:
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words += [str(program), str(base), str(data), str(folder), json.dumps(changes)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr


def assert_same_losses(folder: Path, other: Path) -> None:
    assert len(losses(folder)) == len(losses(other)) > 0
    for ours, theirs in zip(losses(folder), losses(other), strict=True):
        assert ours == pytest.approx(theirs, rel=3e-5)  # worst measured 5.3e-6


@pytest.mark.parametrize("changes", [{}, {"stage": "align"}, {"micro_batch": 2, "batching": "grouped"}], ids=str)
def test_two_processes_train_like_one(tiny_checkpoint, data, tmp_path, changes):
    changes = {"steps": 8, **changes}
    process = start(tiny_checkpoint, data, tmp_path / "two", **changes)
    train(tiny_recipe(tiny_checkpoint, data, **changes), tmp_path / "one")
    finish(process)
    assert_same_losses(tmp_path / "two", tmp_path / "one")
    assert json.loads((tmp_path / "two" / "figures.json").read_text())["processes"] == 2


def test_run_of_two_processes_resumes_in_one(tiny_checkpoint, data, tmp_path):
    changes = {"steps": 40, "save_steps": 1}
    train(tiny_recipe(tiny_checkpoint, data, **changes), tmp_path / "one")
    folder = tmp_path / "two"
    process = start(tiny_checkpoint, data, folder, **changes)
    while not checkpoints(folder) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)  # torchrun forwards it, and ranks stop at the same step
    process.communicate()
    assert checkpoints(folder)
    assert len(losses(folder)) < 40
    train(tiny_recipe(tiny_checkpoint, data, **changes), folder)
    assert_same_losses(folder, tmp_path / "one")


def test_run_of_one_process_resumes_in_two(tiny_checkpoint, data, tmp_path):
    train(tiny_recipe(tiny_checkpoint, data), tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "checkpoint-5")
    finish(start(tiny_checkpoint, data, tmp_path / "two"))
    assert_same_losses(tmp_path / "two", tmp_path / "one")
    with pytest.raises(
        RecipeError, match="a global_batch of 8 does not divide into micro-batches of 4 samples on 3 devices"
    ):
        tiny_recipe(tiny_checkpoint, data).accumulation(3)


@pytest.mark.parametrize("changes", [{}, {"adapter": "lora", "lora_dropout": 0.0, "lora_alpha": 8}], ids=str)
def test_sharded_training_is_equal_and_resumes(tiny_checkpoint, data, tmp_path, changes):
    """FSDP2 as in `examples/accelerate/fsdp2.yaml`, on CPUs, with a stop and a resume."""
    changes = {"steps": 40, "save_steps": 4, **changes}
    one = train(tiny_recipe(tiny_checkpoint, data, **changes), tmp_path / "one")
    folder = tmp_path / "two"
    process = start(tiny_checkpoint, data, folder, program=SHARDED_PROGRAM, **changes)
    while not checkpoints(folder) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert 0 < len(losses(folder)) < 40
    with pytest.raises(RecipeError, match="written with sharding; resume with"):
        train(tiny_recipe(tiny_checkpoint, data, **changes), folder)
    finish(start(tiny_checkpoint, data, folder, program=SHARDED_PROGRAM, **changes))
    assert_same_losses(folder, tmp_path / "one")
    ours, theirs = (dict(Engine.load(path).model.named_parameters()) for path in (folder / one.name, one))
    for name, parameter in theirs.items():
        assert torch.allclose(ours[name], parameter, atol=1e-3), name
