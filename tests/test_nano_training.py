"""The five steps of nano from random weights, as one command runs them."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_training import losses
from waiting import wait_until

from minigemini.data.curriculum import Curriculum
from minigemini.inference import Engine
from minigemini.io.folder_lock import FolderInUseError, folder_lock
from minigemini.io.plots import can_plot
from minigemini.training import trainable
from minigemini.training.recipe import CHECKPOINT, DataPart
from minigemini.training.run import train
from minigemini.training.settings import RecipeError
from minigemini_models.nano.curriculum import HD_MIXTURE, INSTRUCT_MIXTURE, mixture_parts
from minigemini_models.nano.nano_recipes import EXPORT, LANGUAGE, PIPELINES, TWIN, nano_recipes
from minigemini_models.nano.training_pipeline import train_pipeline
from minigemini_models.pretraining.tasks import TASKS

pytestmark = pytest.mark.usefixtures("one_thread")

TOY = {"global_batch": "2", "micro_batch": "2", "workers": "0", "report_to": "none"}
TWO_STEPS = TOY | {"steps": "2"}


# Mixtures as sources of samples


@pytest.mark.parametrize("mixture", [INSTRUCT_MIXTURE, HD_MIXTURE])
def test_a_mixture_becomes_sources_with_its_number_of_samples(mixture):
    parts = mixture_parts(mixture, 10_000)
    counts = {part.file: int(part.file.partition("#")[2]) for part in parts}
    assert len(parts) == len(mixture)
    assert sum(counts.values()) == pytest.approx(10_000, rel=0.01)
    assert all(part == DataPart.parse(str(part)) for part in parts)


def test_sources_come_when_the_mixture_takes_them():
    first, last = mixture_parts({"sign": "0:1/1:0", "name": "0:0/1:3"}, 1000)
    early, late = (Curriculum.parse(part.curriculum).positions(np.linspace(0, 1, 100)) for part in (first, last))
    assert early.mean() < 0.4
    assert late.mean() > 0.6


def test_scale_reaches_every_step():
    whole, part = nano_recipes("x"), nano_recipes("x", 0.01)
    for name in ("nano-encoders", "nano-language", "nano-align"):
        assert part[name].run_length()[1] == whole[name].run_length()[1] // 100
    for name in ("nano-instruct", "nano-hd", f"{TWIN}-instruct"):
        samples = [sum(int(one.file.partition("#")[2]) for one in found[name].data) for found in (whole, part)]
        assert samples[1] == pytest.approx(samples[0] / 100, rel=0.2)


# Errors


def test_errors_name_the_step(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="nano: unknown step 'polish'; choose from nano-encoders, nano-language, "):
        train_pipeline("nano", tmp_path, {}, ("polish",))
    with pytest.raises(RecipeError, match="nano-instruct first"):
        train_pipeline("nano", tmp_path, {}, (EXPORT,))
    with pytest.raises(RecipeError, match=r"no such file; create it with `minigemini train nano-encoders`"):
        train_pipeline("nano", tmp_path, TOY, ("nano-align",))
    with pytest.raises(RecipeError, match="scale is 0; give more than 0"):
        train_pipeline("nano", tmp_path, {"scale": "0"})
    with pytest.raises(RecipeError, match="scale is 'inf'; give a number"):
        train_pipeline("nano", tmp_path, {"scale": "inf"})
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="torchrun runs single steps only"):
        train_pipeline("nano", tmp_path, {})


# The whole, with two steps each


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("nano")
    for name in PIPELINES:
        assert train_pipeline(name, root, TWO_STEPS) == root / name
    return root


def tensors(root: Path, step: str) -> dict[str, torch.Tensor]:
    return load_file(root / step / CHECKPOINT / "model.safetensors")


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return torch.equal(ours.bfloat16(), theirs.bfloat16())


@pytest.mark.slow
def test_every_step_writes_its_output_and_a_report(trained):
    recipes = nano_recipes(str(trained))
    for name in {step for steps in PIPELINES.values() for step in steps} - {EXPORT}:
        assert recipes[name].result_path(trained / name).exists(), name
        assert "| commit |" in (trained / name / "report.md").read_text()
        assert [step for step, _ in losses(trained / name)] == [1, 2]


@pytest.mark.slow
def test_nothing_is_initialized_from_another_checkpoint(trained):
    for recipe in trained.glob("nano*/recipe.json"):
        assert json.loads(recipe.read_text()).get("init_from") is None


@pytest.mark.slow
def test_alignment_has_the_parts_of_the_steps_before(trained):
    assembled = tensors(trained, "nano-align")
    language = load_file(trained / "nano-language" / "language_model.safetensors")
    for name in ("vision_tower", "high_res_vision_tower"):
        for key, tensor in load_file(trained / "nano-encoders" / "encoders" / f"{name}.safetensors").items():
            assert same(assembled[f"model.{name}.{key}"], tensor)
    read = {key: tensor for key, tensor in language.items() if key.startswith("language_model.")}
    assert read
    assert all(same(assembled[f"model.{key}"], tensor) for key, tensor in read.items())


@pytest.mark.slow
def test_stage_2_trains_connector_and_language_model(trained):
    before, after = tensors(trained, "nano-align"), tensors(trained, "nano-instruct")
    moved = {name.split(".")[1] for name in after if not same(before[name], after[name])}
    assert moved == {"patch_info_mining", "multi_modal_projector", "language_model"}


@pytest.mark.slow
def test_the_twin_has_no_high_resolution_encoder_and_shares_the_rest(trained):
    ours, theirs = tensors(trained, "nano-align"), tensors(trained, f"{TWIN}-align")
    assert theirs.keys() == {n for n in ours if "patch_info_mining" not in n and "high_res_vision_tower" not in n}
    assert all(same(ours[name], theirs[name]) for name in theirs if "multi_modal_projector" not in name)
    assert Engine.load(trained / TWIN).model.model.patch_info_mining is None


@pytest.mark.slow
def test_hd_has_four_tiles_and_a_global_tile(trained):
    config = Engine.load(trained / "nano-hd" / CHECKPOINT).model.config
    assert (config.high_res_size, config.grid_size, config.use_global_tile) == (512, 2, True)


@pytest.mark.slow
def test_accuracies_are_logged_drawn_and_reported(trained):
    folder = trained / "nano-encoders"
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    page = (folder / "report.md").read_text()
    for name in ("high_res_slots_accuracy", "high_res_names_accuracy"):
        assert all(0 <= entry[name] <= 1 for entry in entries)
        assert (f"![{name.replace('_', ' ').capitalize()} per step]({name}.png)" in page) == can_plot()
        assert (folder / f"{name}.png").exists() == can_plot()
    assert "minigemini train nano-encoders steps=2" in page


@pytest.mark.slow
def test_an_output_without_its_run_is_used(trained, tmp_path):
    """Encoders may be copied from another run."""
    for output in ("nano-encoders/encoders", "nano-language/language_model.safetensors"):
        (tmp_path / output).parent.mkdir()
        copy = shutil.copytree if (trained / output).is_dir() else shutil.copy
        copy(trained / output, tmp_path / output)
    train_pipeline("nano", tmp_path, TWO_STEPS, ("nano-encoders", "nano-language", "nano-align"))
    assert not list(tmp_path.glob("nano-[el]*/log.jsonl"))
    ours, theirs = (tensors(root, "nano-align") for root in (tmp_path, trained))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_a_part_of_another_module_raises_an_error(trained, tmp_path):
    wrong = str(trained / "nano-language" / "language_model.safetensors")
    recipe = replace(nano_recipes(str(trained))["nano-align"].changed(TWO_STEPS), low_res_encoder=wrong)
    with pytest.raises(RecipeError, match="does not fit this recipe") as raised:
        train(recipe, tmp_path / "run")
    assert "\n" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano-encoders", "nano-language", "nano-align"])
def test_a_task_trains_only_its_declared_parts(trained, name):
    recipe = nano_recipes(str(trained))[name].changed(TOY)
    task = TASKS[recipe.task](recipe)
    trainable.apply(task.module, task.parts)
    counts = trainable.check(task.module, task.parts)
    batch = task.collate([task.sample(number) for number in range(2)])
    task.module(**batch)["loss"].backward()
    for parameter_name, parameter in task.module.named_parameters():
        assert (parameter.grad is not None) == (trainable.part_of(parameter_name, task.parts) is not None)
    assert all(counts.values())


@pytest.mark.slow
def test_finished_steps_are_skipped(trained, capsys):
    before = {path: path.stat().st_mtime_ns for path in trained.glob("*/*/*.safetensors")}
    train_pipeline("nano", trained, TWO_STEPS, ("nano-language", "nano-align"))
    assert before == {path: path.stat().st_mtime_ns for path in trained.glob("*/*/*.safetensors")}
    assert "nano-align: finished" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano-encoders", "nano-language", "nano-align"])
def test_a_resumed_run_equals_an_uninterrupted_one(trained, name, tmp_path):
    recipe = nano_recipes(str(trained))[name].changed(TOY | {"steps": "3", "save_steps": "2"})
    result = train(recipe, tmp_path)
    whole = losses(tmp_path)
    shutil.rmtree(tmp_path / "checkpoint-3")
    result.rename(tmp_path / "first")
    again = train(replace(recipe, workers=1), tmp_path)
    assert losses(tmp_path) == whole
    for ours, theirs in zip(*(weights(path) for path in (tmp_path / "first", again)), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def weights(path: Path) -> list[dict[str, torch.Tensor]]:
    return [load_file(file) for file in (sorted(path.glob("*.safetensors")) if path.is_dir() else [path])]


# Two steps at once

SIDE_BY_SIDE = """
import sys
from pathlib import Path
from minigemini_models.nano.nano_recipes import ENCODERS, LANGUAGE, nano_recipes
from minigemini_models.nano.training_pipeline import run_side_by_side

if __name__ == "__main__":
    settings = dict(word.split("=") for word in sys.argv[2:])
    run_side_by_side(*(nano_recipes()[name].changed(settings) for name in (ENCODERS, LANGUAGE)), Path(sys.argv[1]))
"""


@pytest.fixture
def side_by_side(tmp_path):
    (tmp_path / "program.py").write_text(SIDE_BY_SIDE)
    settings = (
        *("steps=100000", "global_batch=1", "micro_batch=1", "workers=0", "report_to=none"),
        *("high_res_width=8", "low_res_width=32", "low_res_layers=1"),
    )
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path), *settings]
    started = []

    def start() -> subprocess.Popen:
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_step_is_stopped_when_the_one_beside_it_fails(side_by_side, tmp_path):
    with folder_lock(tmp_path / LANGUAGE):
        _, said = side_by_side().communicate(timeout=120)
    assert "RecipeError: nano-language has failed, as it says above" in said
    assert "FolderInUseError" not in said


def test_a_step_ends_with_the_process_that_started_it(side_by_side, tmp_path):
    process = side_by_side()
    wait_until(lambda: (tmp_path / LANGUAGE / "log.jsonl").exists(), 120)
    process.kill()
    wait_until(lambda: is_free(tmp_path / LANGUAGE), 10)


def is_free(folder: Path) -> bool:
    try:
        with folder_lock(folder):
            return True
    except FolderInUseError:
        return False
