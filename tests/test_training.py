"""The loop resumes exactly, saves whole checkpoints, and each step of nano's recipe learns what it says and no more."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from minigemini.training import loop
from minigemini.training.loop import LoopSettings, StepError, learning_rate, stack
from minigemini.training.nano import RECIPES, STEPS, NanoRecipe, train_nano

SHORT = LoopSettings(steps=2, batch_size=2, learning_rate=1e-3, workers=0, report_every=1)
TINY = NanoRecipe(low_res_encoder=SHORT, high_res_encoder=SHORT, alignment=SHORT, instruction=SHORT)


class Line:
    """Learn a line: the smallest task there is."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Linear(3, 1)

    def sample(self, index):
        x = np.random.default_rng(index).normal(size=3).astype(np.float32)
        return {"x": x, "y": x.sum(keepdims=True)}

    collate = staticmethod(stack)

    def loss(self, batch):
        return (self.module(batch["x"]) - batch["y"]).square().mean(), {}


SETTINGS = LoopSettings(steps=40, batch_size=4, learning_rate=1e-2, workers=0, checkpoint_every_s=0, report_every=1)


def weights(folder):
    return load_file(folder / "checkpoint" / "module.safetensors")


def losses(folder):
    """Loss by step; where a killed run was repeated, the last word."""
    lines = (json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines}


def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    loop.run(Line(), SETTINGS, tmp_path / "whole", "line")
    save, saved = loop._save, []

    def stop_after_seven(*args):
        save(*args)
        saved.append(args)
        if len(saved) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_save", stop_after_seven)
    with pytest.raises(KeyboardInterrupt):
        loop.run(Line(), SETTINGS, tmp_path / "broken", "line")
    loop.run(Line(), SETTINGS, tmp_path / "broken", "line")
    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_training import Line, SETTINGS
from minigemini.training.loop import run
run(Line(), SETTINGS, Path({folder!r}), "line")
"""


def test_a_killed_process_resumes_bit_for_bit(tmp_path):
    """SIGKILL as soon as there is a checkpoint, wherever that finds the run."""
    loop.run(Line(), SETTINGS, tmp_path / "whole", "line")
    folder = tmp_path / "killed"
    script = KILLED.format(tests=os.path.dirname(__file__), folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not (folder / "checkpoint").exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    loop.run(Line(), SETTINGS, folder, "line")
    whole, killed = weights(tmp_path / "whole"), weights(folder)
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_a_finished_run_does_nothing(tmp_path):
    loop.run(Line(), SETTINGS, tmp_path, "line")
    before = (tmp_path / "log.jsonl").read_text()
    loop.run(Line(), SETTINGS, tmp_path, "line")
    assert (tmp_path / "log.jsonl").read_text() == before


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    class Broken(Line):
        def loss(self, batch):
            return super().loss(batch)[0] * float("nan"), {}

    with pytest.raises(FloatingPointError, match="nan at step 0"):
        loop.run(Broken(), SETTINGS, tmp_path, "line")
    assert not (tmp_path / "checkpoint").exists()


def test_a_step_that_trains_nothing_stops(tmp_path):
    task = Line()
    task.module.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        loop.run(task, SETTINGS, tmp_path, "line")


def test_learning_rate_warms_up_and_falls():
    rates = [learning_rate(replace(SETTINGS, steps=1000), step) for step in range(1000)]
    assert rates.index(max(rates)) == pytest.approx(30, abs=1)
    assert max(rates) == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(1e-2 / 50, rel=0.01)


def test_a_step_without_the_one_before_says_so(tmp_path):
    with pytest.raises(StepError, match="run the step low-res-encoder first"):
        train_nano(tmp_path, TINY, ("alignment",))
    with pytest.raises(StepError, match="unknown step polish"):
        train_nano(tmp_path, TINY, ("polish",))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Both twins, two optimiser steps each."""
    root = tmp_path_factory.mktemp("nano")
    for mining in (True, False):
        train_nano(root, replace(TINY, mining=mining))
    return root


def changed(before, after, prefix):
    names = [name for name in after if name.startswith(prefix)]
    assert names, prefix
    return {name for name in names if not torch.equal(before[name], after[name])}


def test_every_step_leaves_a_folder_and_the_result_loads(trained):
    from minigemini.inference.engine import Engine

    for recipe in RECIPES.values():
        assert all((recipe.folder_of(step, trained)).exists() for step in STEPS)
        model = Engine.load(recipe.folder_of("export", trained)).model
        assert (model.model.patch_info_mining is not None) == recipe.mining


def test_instruction_trains_what_it_says_and_no_more(trained):
    before, after = weights(trained / "alignment"), weights(trained / "instruction")
    before = {f"model.{name}": tensor for name, tensor in before.items()}
    for frozen in ("model.model.vision_tower.", "model.model.high_res_vision_tower."):
        assert not changed(before, after, frozen)
    for learnt in (
        "model.model.patch_info_mining.",
        "model.model.multi_modal_projector.",
        "model.model.language_model.",
    ):
        moved = changed(before, after, learnt)
        # The key biases drop out of the softmax: their gradient is zero.
        still = {n for n in after if n.startswith(learnt) and n not in moved}
        assert all("key_proj" in name and name.endswith("bias") for name in still), still


def test_alignment_starts_from_both_encoders(trained):
    for step, tower in (("low-res-encoder", "vision_tower"), ("high-res-encoder", "high_res_vision_tower")):
        learnt, aligned = weights(trained / step), weights(trained / "alignment")
        for name, tensor in aligned.items():
            if name.startswith(f"model.{tower}."):
                assert torch.equal(tensor, learnt[name.replace(f"model.{tower}", "encoder")])
