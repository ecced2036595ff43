"""Runs of a tiny model: bitwise resume after kills, atomic checkpoints, and results that load."""

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny_published import HIGH_RES, LOW_RES, TOKENIZERS
from tiny_training import losses, tiny_recipe, write_data
from transformers import LlamaConfig, LlamaForCausalLM

from minigemini.conversion import Tiling, assemble
from minigemini.data.bad_samples import MIN_SAMPLES, TooManyBadSamplesError
from minigemini.inference import Engine
from minigemini.io import folder_lock
from minigemini.io.atomic_write import is_full_disk
from minigemini.io.folder_lock import FolderInUseError
from minigemini.io.hashes import SUMS, read_sums
from minigemini.io.merging import merge
from minigemini.io.plots import NO_PLOTS, can_plot
from minigemini.training import checkpointing
from minigemini.training.checkpointing import DamagedFileError, newest_complete
from minigemini.training.run import train
from minigemini.training.settings import RecipeError

pytestmark = pytest.mark.usefixtures("one_thread")

TRAIN_PROGRAM = Path(__file__).parent / "tiny_training.py"
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def data(tmp_path_factory, image):
    return write_data(tmp_path_factory.mktemp("data"), image)


@pytest.fixture
def recipe(tiny_checkpoint, data):
    return lambda base=tiny_checkpoint, **changes: tiny_recipe(base, data, **changes)


def start(
    base: Path, data: Path, folder: Path, limit: str = "", new_session: bool = False, **changes
) -> subprocess.Popen:
    """Start a run in a separate process."""
    words = [sys.executable, str(TRAIN_PROGRAM), str(base), str(data), str(folder), json.dumps(changes)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if limit:
        words = ["bash", "-c", f'{limit}; exec "$@"', "-", *words]
    return subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True, start_new_session=new_session)


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(folder / f"checkpoint-{step}" / "trained.safetensors")


def assert_same_result(folder: Path, other: Path, step: int) -> None:
    assert losses(folder) == losses(other)
    ours, theirs = weights(folder, step), weights(other, step)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


# Killed

LONG = {"steps": 24, "save_steps": 1, "adapter": "lora", "lora_dropout": 0.3, "micro_batch": 2, "workers": 1}
"""With dropout (random states matter), accumulation, a worker, and epochs of five steps."""


@pytest.mark.slow
def test_run_killed_at_random_moments_equals_an_uninterrupted_run(tiny_checkpoint, data, recipe, tmp_path):
    train(recipe(**LONG), tmp_path / "whole")
    folder, rng = tmp_path / "killed", random.Random(time.time_ns())
    moments, kills = [], 0
    while kills < 4:
        process = start(tiny_checkpoint, data, folder, **LONG)
        before = newest_step(folder)
        # One kill occurs while a checkpoint is written, the others at a random time after the next checkpoint.
        if kills == 1:
            wait_until(lambda: any(folder.glob(".checkpoint-*.partial")), process)
        else:
            wait_until(lambda before=before: newest_step(folder) > before, process)
            time.sleep(rng.random() * 0.8)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        moments.append(newest_step(folder))
        if moments[-1] == 24:
            break
    assert kills >= 3, moments
    train(recipe(**LONG), folder)
    assert_same_result(folder, tmp_path / "whole", 24)
    assert not list(folder.glob(".checkpoint-*"))


def wait_until(condition, process: subprocess.Popen) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.0005)


def newest_step(folder: Path) -> int:
    found = checkpointing.checkpoints(folder)
    return checkpointing.step_of(found[0]) if found else 0


def test_ctrl_c_saves_a_checkpoint_to_resume_from(tiny_checkpoint, data, recipe, tmp_path):
    changes = {"steps": 12, "save_steps": 100}
    train(recipe(**changes), tmp_path / "whole")
    folder = tmp_path / "stopped"
    process = start(tiny_checkpoint, data, folder, **changes)
    wait_until(lambda: (folder / "log.jsonl").exists() and len(losses(folder)) > 2, process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert "finishing the step and saving" in stderr
    assert 0 < newest_step(folder) < 12
    train(recipe(**changes), folder)
    assert_same_result(folder, tmp_path / "whole", 12)


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_of_a_run_saves_a_checkpoint(tiny_checkpoint, data, tmp_path, number):
    """As a terminal, `timeout` or Slurm's scancel sends it, to the loader's processes too."""
    process = start(tiny_checkpoint, data, tmp_path / "run", steps=200, save_steps=1000, workers=2, new_session=True)
    wait_until(lambda: (tmp_path / "run/log.jsonl").exists() and len(losses(tmp_path / "run")) > 2, process)
    os.killpg(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr.count("finishing the step and saving") == 1
    assert 0 < newest_step(tmp_path / "run") < 200


def test_full_disk_skips_checkpoints_only(tiny_checkpoint, data, recipe, tmp_path):
    """`ulimit -f` limits files to 200 KiB, which the optimizer state exceeds."""
    folder = tmp_path / "full"
    process = start(tiny_checkpoint, data, folder, limit="ulimit -f 200", save_steps=1)
    _, stderr = process.communicate()
    assert "checkpoint 1 not written" in stderr
    assert "checkpoint 5 not written" in stderr
    assert process.returncode == 0 or re.search(
        r"RecipeError: \S+model: the disk is full .*; free some space", stderr
    ), stderr
    assert len(losses(folder)) == 5
    assert not checkpointing.checkpoints(folder)
    assert not list(folder.glob(".checkpoint-*"))


def test_other_errors_are_not_reported_as_a_full_disk(tmp_path):
    for number, full in ((errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False), (errno.ENOENT, False)):
        assert is_full_disk(OSError(number, "x"), tmp_path) is full
    with pytest.raises(SafetensorError) as raised:
        save_file({"x": torch.zeros(1)}, tmp_path / "gone" / "x.safetensors")
    assert not is_full_disk(raised.value, tmp_path)
    with pytest.raises(RuntimeError) as raised:
        torch.save({"x": torch.zeros(1)}, tmp_path / "gone" / "x.pt")
    assert not is_full_disk(raised.value, tmp_path)
    assert not is_full_disk(RuntimeError("PytorchStreamWriter failed writing file"), tmp_path)  # there is room


def test_other_write_errors_stop_the_run(recipe, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".checkpoint-1.partial").write_text("a file in place of the checkpoint's folder")
    with pytest.raises(OSError, match=r"checkpoint-1\.partial"):
        train(recipe(save_steps=1), folder)
    assert "training continues" not in capsys.readouterr().err


def test_second_run_in_a_folder_is_rejected(tiny_checkpoint, data, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "LOCK_TIMEOUT_SECONDS", 0.1)
    changes = {"steps": 24, "save_steps": 1, "workers": 1}
    train(recipe(**changes), tmp_path / "alone")
    folder = tmp_path / "run"
    process = start(tiny_checkpoint, data, folder, **changes)
    wait_until(lambda: newest_step(folder) > 0, process)
    with pytest.raises(FolderInUseError, match=rf"run: process {process.pid} on \S+ is writing there"):
        train(recipe(**changes), folder)
    assert process.wait() == 0, process.stderr.read()
    assert_same_result(folder, tmp_path / "alone", 24)
    assert not list(folder.glob(".lock*"))


# Checkpoints


@pytest.fixture(scope="module")
def finished(tiny_checkpoint, data, tmp_path_factory):
    """A run of five steps with checkpoints of steps 4 and 5."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(tiny_recipe(tiny_checkpoint, data), folder)
    return folder


def test_newest_checkpoints_are_kept(finished):
    assert [path.name for path in checkpointing.checkpoints(finished)] == ["checkpoint-5", "checkpoint-4"]
    listed = read_sums(finished / "checkpoint-5")
    assert {"trained.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "data-0.json"} <= set(listed)


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "add", "list"])
def test_damaged_checkpoint_is_reported_and_the_previous_one_used(finished, recipe, tmp_path, capsys, damage):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    file = folder / "checkpoint-5" / "optimizer.pt"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "flip":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "remove":
        file.unlink()
    elif damage == "add":
        (folder / "checkpoint-5" / "more.bin").touch()
    else:
        (folder / "checkpoint-5" / SUMS).write_text("{")
    train(recipe(), folder)
    stderr = capsys.readouterr().err
    assert "checkpoint-5" in stderr
    assert "using the previous checkpoint" in stderr
    assert_same_result(folder, finished, 5)
    checkpointing.verify(folder / "checkpoint-5")


def test_run_stops_if_all_checkpoints_are_damaged(finished, recipe, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    for checkpoint in checkpointing.checkpoints(folder):
        (checkpoint / "trained.safetensors").write_bytes(b"")
    with pytest.raises(DamagedFileError, match="no checkpoint is complete"):
        train(recipe(), folder)
    with pytest.raises(DamagedFileError):
        newest_complete(folder)


def test_finished_run_only_writes_its_result(finished, recipe, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "model")
    train(recipe(), folder)
    assert_same_result(folder, finished, 5)
    ours, theirs = (load_file(path / "model" / "model.safetensors") for path in (folder, finished))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_other_recipe_is_not_resumed(finished, recipe):
    with pytest.raises(RecipeError, match=r"another recipe \(learning_rate was 0.01 and is 0.5\); use another folder"):
        train(recipe(learning_rate=0.5), finished)


def test_changed_data_is_rejected(finished, tiny_checkpoint, data, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    shutil.copytree(data, tmp_path / "data")
    changed = tiny_recipe(tiny_checkpoint, tmp_path / "data")
    (folder / "recipe.json").write_text(json.dumps(changed.as_dict()))  # as if it had been trained on these
    train(changed, folder)
    records = json.loads((tmp_path / "data/chat.json").read_text())
    records[3]["conversations"][1]["value"] += ", and more"
    (tmp_path / "data/chat.json").write_text(json.dumps(records))
    with pytest.raises(RecipeError, match="data have changed since checkpoint-5; restore the original files"):
        train(changed, folder)


def test_unreadable_recipe_is_reported(recipe, tmp_path):
    for content in ("{", "null", "[1]"):
        (tmp_path / "recipe.json").write_text(content)
        with pytest.raises(RecipeError, match=r"cannot read \S+recipe\.json"):
            train(recipe(), tmp_path)


# Batches


def test_accumulation_and_batching_give_the_same_loss(finished, recipe, tmp_path):
    train(recipe(micro_batch=1), tmp_path / "ones")
    train(recipe(gradient_checkpointing=True), tmp_path / "recomputed")
    for other in ("ones", "recomputed"):
        for ours, theirs in zip(losses(tmp_path / other), losses(finished), strict=True):
            assert ours == pytest.approx(theirs, rel=3e-5)  # worst measured 5.3e-6


def test_padded_rows_train(recipe, tmp_path):
    train(recipe(batching="grouped", steps=3), tmp_path / "grouped")
    assert len(losses(tmp_path / "grouped")) == 3


def test_router_loss_balances_experts_if_the_base_enables_it(make_model, make_processor, recipe, tmp_path):
    first: dict[float, dict] = {}
    for weight, micro_batch in ((0.0, 4), (1.0, 4), (1.0, 2)):
        experts = {"model_type": "mixtral", "num_local_experts": 4, "output_router_logits": weight > 0}
        model = make_model(text_config={**experts, "router_aux_loss_coef": weight})
        name = f"{weight:g}-{micro_batch}"
        model.save_pretrained(tmp_path / "base" / name)
        make_processor(model.config).save_pretrained(tmp_path / "base" / name)
        path = train(recipe(base=tmp_path / "base" / name, steps=1, micro_batch=micro_batch), tmp_path / name)
        assert Engine.load(path).model.config.text_config.output_router_logits == (weight > 0)
        first[name] = json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[0])
    assert "router_loss" not in first["0-4"]
    balance = first["1-4"]["router_loss"]
    assert 1.9 < balance < 4, "two of four experts: 2 if used equally, 4 if only two are used"
    for name in ("1-4", "1-2"):  # expert usage differs slightly between micro-batches
        assert first[name]["loss"] == pytest.approx(first["0-4"]["loss"] + balance, abs=0.1)


def test_too_many_bad_samples_stop_the_run(tiny_checkpoint, image, tmp_path):
    broken = write_data(tmp_path, image, broken=20)
    train(tiny_recipe(tiny_checkpoint, broken, max_bad_sample_ratio=1.0), tmp_path / "tolerated")
    assert "| unreadable picture |" in (tmp_path / "tolerated" / "report.md").read_text()
    with pytest.raises(TooManyBadSamplesError, match="samples are bad"):
        train(tiny_recipe(tiny_checkpoint, broken, max_bad_sample_ratio=2 / MIN_SAMPLES), tmp_path / "stopped")


# Results


def test_stage_1_writes_connector_weights_that_load(recipe, tiny_checkpoint, tmp_path):
    path = train(recipe(stage="align", steps=2), tmp_path / "align")
    assert path.name == "stage1.safetensors"
    model = Engine.load(path).model
    trained = weights(tmp_path / "align", 2)
    for name, parameter in model.named_parameters():
        if "patch_info_mining" in name or "multi_modal_projector" in name:
            assert torch.equal(parameter, trained[f"model.{name}"])
    second = train(recipe(base=path, steps=1, learning_rate=1e-9), tmp_path / "second")
    after = dict(Engine.load(second).model.named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.allclose(after[name], parameter, atol=1e-7), name


def test_stage_1_result_can_be_assembled(recipe, tmp_path):
    text = LlamaConfig(vocab_size=456, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4)
    LlamaForCausalLM(text).save_pretrained(tmp_path / "llm")
    shutil.copytree(TOKENIZERS / "tok_llama_fast", tmp_path / "llm", dirs_exist_ok=True)
    parts = (str(tmp_path / "llm"), str(LOW_RES), str(HIGH_RES))
    tiling = Tiling(high_res_size=128)
    assemble(*parts, tmp_path / "start", tiling=tiling)
    path = train(recipe(stage="align", base=tmp_path / "start", steps=2), tmp_path / "align")
    assemble(*parts, tmp_path / "aligned", tiling=tiling, stage1=path)
    ours, theirs = (dict(Engine.load(name).model.named_parameters()) for name in (path, tmp_path / "aligned"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_lora_writes_an_adapter_that_merges(recipe, tmp_path):
    path = train(recipe(adapter="lora", steps=2), tmp_path / "lora")
    engine = Engine.load(path)
    folder = merge(path, tmp_path / "merged")
    merged = dict(Engine.load(folder).model.named_parameters())
    base = dict(Engine.load(recipe().base).model.named_parameters())
    for name, parameter in engine.model.named_parameters():
        assert torch.allclose(merged[name], parameter, atol=1e-6), name
    assert not torch.equal(merged["lm_head.weight"], base["model.language_model.embed_tokens.weight"])
    moved = [name for name in base if not torch.equal(base[name], merged[name])]
    assert any("q_proj" in name and "language_model" in name for name in moved)
    assert not any("vision_tower" in name for name in moved)


def test_qlora_trains_over_4_bit_weights(make_model, make_processor, recipe, tmp_path):
    model = make_model(
        text_config={"hidden_size": 64, "intermediate_size": 64}
    )  # dimensions that 4-bit weights support on a CPU
    model.save_pretrained(tmp_path / "base")
    make_processor(model.config).save_pretrained(tmp_path / "base")
    path = train(recipe(base=tmp_path / "base", adapter="qlora", steps=3), tmp_path / "qlora")
    assert Engine.load(path).model.config.text_config.hidden_size == 64
    assert len(losses(tmp_path / "qlora")) == 3


def test_stage_2_writes_a_checkpoint(finished, tiny_checkpoint):
    trained = weights(finished, 5)
    base = dict(Engine.load(tiny_checkpoint).model.named_parameters())
    for name, parameter in Engine.load(finished / "model").model.named_parameters():
        expected = base[name] if "vision_tower" in name else trained[f"model.{name}"]
        assert torch.equal(parameter, expected), name


def test_report_is_complete(finished):
    page = (finished / "report.md").read_text()
    loss = "![Loss per step](loss.png)" if can_plot() else NO_PLOTS
    for words in ("| language model |", "learning_rate", "| commit |", "generated:", loss):
        assert words in page
    assert (finished / "loss.png").exists() == can_plot()
    assert len(losses(finished)) == 5
