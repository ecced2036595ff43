"""Pretraining steps: each trains only its declared parts, resumes exactly and starts from earlier outputs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import losses
from torch import nn
from transformers import PreTrainedTokenizerFast

from minigemini.inference import Engine
from minigemini.io.plots import can_plot
from minigemini.training import checkpointing, trainable
from minigemini.training.batches import MicroBatchStream
from minigemini.training.pipeline_steps import run_step
from minigemini.training.recipe import CHECKPOINT
from minigemini.training.run import train
from minigemini.training.settings import RecipeError
from minigemini.training.trainer import StageTrainer, training_arguments
from minigemini_models.nano.shipped_recipes import TWIN, shipped_recipes
from minigemini_models.pretraining import tokenizer
from minigemini_models.pretraining.label_heads import balanced_cross_entropy
from minigemini_models.pretraining.tasks import TASKS
from minigemini_models.pretraining.tokenizer import build_tokenizer
from minigemini_models.pretraining.warm_start import initialize_embeddings

pytestmark = pytest.mark.slow

TOY = {"steps": "2", "global_batch": "2", "micro_batch": "2", "workers": "0", "report_to": "none"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def toy(name: str, root: Path, **changes):
    return replace(shipped_recipes(str(root))[name].changed(TOY), **changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Train nano and its twin with two optimizer steps per step."""
    root = tmp_path_factory.mktemp("nano")
    for name, recipe in shipped_recipes(str(root)).items():
        run_step(recipe.changed(TOY), root / name)
    return root


def tensors(root: Path, step: str) -> dict[str, torch.Tensor]:
    return load_file(root / step / CHECKPOINT / "model.safetensors")


def same(ours, theirs) -> bool:
    return torch.equal(ours.bfloat16(), theirs.bfloat16())


# The whole pipeline


def test_every_step_writes_its_output_and_a_report(trained):
    for name, recipe in shipped_recipes(str(trained)).items():
        assert recipe.result_path(trained / name).exists(), name
        assert "| commit |" in (trained / name / "report.md").read_text()
        assert [step for step, _ in losses(trained / name)] == [1, 2]


def test_hd_has_four_tiles_and_a_global_tile_with_the_same_weights(trained):
    config = Engine.load(trained / "nano-hd-pages" / CHECKPOINT).model.config
    assert (config.high_res_size, config.grid_size, config.use_global_tile) == (512, 2, True)
    assert config.num_image_tokens == 320
    before, after = tensors(trained, "nano-skills"), tensors(trained, "nano-hd-pages")
    assert {n: t.shape for n, t in before.items()} == {n: t.shape for n, t in after.items()}


def test_alignment_starts_from_the_pretrained_parts(trained):
    assembled = tensors(trained, "nano-mining")
    for step, part in (
        ("nano-low-res-encoder/encoder", "model.vision_tower"),
        ("nano-high-res-encoder/encoder", "model.high_res_vision_tower"),
        ("nano-text/language_model", "model.language_model"),
    ):
        source_weights = load_file(trained / f"{step}.safetensors")
        assert source_weights.keys() == {n.removeprefix(f"{part}.") for n in assembled if n.startswith(f"{part}.")}
        assert all(same(assembled[f"{part}.{name}"], tensor) for name, tensor in source_weights.items())


def test_stages_train_only_their_declared_parts(trained):
    before, after = tensors(trained, "nano-mining"), tensors(trained, "nano-skills")
    stage_1 = load_file(trained / "nano-captions" / "stage1.safetensors")
    assert {name.split(".")[1] for name in stage_1} == {"patch_info_mining", "multi_modal_projector"}
    assert any(not same(tensor, before[name]) for name, tensor in stage_1.items())
    moved = {name.split(".")[1] for name in after if not same(before[name], after[name])}
    assert moved == {"patch_info_mining", "multi_modal_projector", "language_model"}


def test_the_twin_shares_encoder_and_language_model(trained):
    ours, theirs = tensors(trained, "nano-mining"), tensors(trained, f"{TWIN}-projector")
    assert theirs.keys() == {n for n in ours if "patch_info_mining" not in n and "high_res_vision_tower" not in n}
    assert all(same(ours[name], theirs[name]) for name in theirs if "multi_modal_projector" not in name)


def test_accuracies_are_logged_drawn_and_reported(trained):
    entries = [json.loads(line) for line in (trained / "nano-mining" / "log.jsonl").read_text().splitlines()]
    names = {"names_accuracy", "colours_accuracy", "centres_accuracy", "text_accuracy", "slots_accuracy"}
    page = (trained / "nano-mining" / "report.md").read_text()
    for name in names:
        assert all(0 <= entry[name] <= 1 for entry in entries)
        assert (f"![{name.replace('_', ' ').capitalize()} per step]({name}.png)" in page) == can_plot()
        assert (trained / "nano-mining" / f"{name}.png").exists() == can_plot()
    assert "minigemini train nano-mining steps=2" in page


def test_an_output_without_its_run_is_used(trained, tmp_path):
    """Encoders may be copied from another run."""
    for step in ("nano-low-res-encoder/encoder", "nano-text/language_model"):
        (tmp_path / step).parent.mkdir()
        shutil.copy(trained / f"{step}.safetensors", tmp_path / f"{step}.safetensors")
    for name in ("nano-low-res-encoder", "nano-text", f"{TWIN}-projector"):
        run_step(toy(name, tmp_path), tmp_path / name)
    assert not (tmp_path / "nano-text" / "log.jsonl").exists()
    ours, theirs = (tensors(root, f"{TWIN}-projector") for root in (tmp_path, trained))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


# Initialization from a checkpoint


@pytest.fixture(scope="module")
def embedded() -> Engine:
    return Engine.load("nano", device="cpu")


@pytest.mark.parametrize(
    ("name", "prefix", "part"),
    [
        ("nano-low-res-encoder", "encoder", "vision_tower"),
        ("nano-high-res-encoder", "encoder", "high_res_vision_tower"),
        ("nano-mining", "model.model.patch_info_mining", "patch_info_mining"),
        ("nano-mining", "model.model.multi_modal_projector", "multi_modal_projector"),
    ],
)
def test_a_part_is_initialized_from_the_checkpoint(trained, embedded, name, prefix, part):
    source_weights = getattr(embedded.model.model, part).state_dict()
    for init_from, begun in (("nano", True), (None, False)):
        task = TASKS[toy(name, trained).task](toy(name, trained, init_from=init_from))
        task.start()
        ours = task.module.get_submodule(prefix).state_dict()
        assert ours.keys() == source_weights.keys()
        assert all(torch.equal(ours[key], source_weights[key].float()) for key in source_weights) == begun


def test_the_language_model_is_initialized_from_the_checkpoint(trained, embedded):
    task = TASKS["language"](toy("nano-text", trained))
    task.start()
    ours = task.module.model.model.language_model.state_dict()
    source_weights = embedded.model.model.language_model.state_dict()
    tokens = (
        build_tokenizer().convert_tokens_to_ids(["Q", "7"]),
        embedded.processor.tokenizer.convert_tokens_to_ids(["Q", "7"]),
    )
    for mine, theirs in zip(*tokens, strict=True):
        assert torch.equal(ours["embed_tokens.weight"][mine], source_weights["embed_tokens.weight"][theirs].float())
    assert all(
        torch.equal(ours[key], source_weights[key].float()) for key in source_weights if "embed_tokens" not in key
    )


def test_new_tokens_are_initialized_from_those_that_spell_them(monkeypatch):
    monkeypatch.setattr(tokenizer, "VOCAB_SIZE", 300)
    smaller = PreTrainedTokenizerFast(tokenizer_object=tokenizer._train_tokenizer.__wrapped__())
    larger = build_tokenizer()
    rows = torch.randn(len(smaller), 4)
    ours = initialize_embeddings(rows, smaller, larger)
    assert ours.shape == (len(larger), 4)
    (word,) = larger(" umbrella", add_special_tokens=False).input_ids
    letters = smaller(" umbrella", add_special_tokens=False).input_ids
    assert len(letters) > 3
    assert torch.allclose(ours[word], rows[letters].mean(0))
    same = larger.convert_tokens_to_ids("Q"), smaller.convert_tokens_to_ids("Q")
    assert torch.equal(ours[same[0]], rows[same[1]])


def test_a_missing_or_differently_sized_checkpoint_raises_an_error(trained):
    for changes, reason in (
        ({"text_layers": 2}, "language_model of nano has another size; set its own"),
        ({"init_from": "nowhere"}, "init_from nowhere: no such folder"),
    ):
        with pytest.raises(RecipeError, match=reason):
            TASKS["language"](toy("nano-text", trained, **changes)).start()


# Errors


def test_a_missing_part_is_named(tmp_path):
    with pytest.raises(
        RecipeError, match=r"encoder.safetensors: no such file; create it with `minigemini train nano-low"
    ):
        run_step(toy("nano-mining", tmp_path), tmp_path / "nano-mining")


def test_a_part_of_another_module_raises_an_error(trained, tmp_path):
    wrong = str(trained / "nano-text" / "language_model.safetensors")
    with pytest.raises(RecipeError, match="does not fit this recipe") as raised:
        train(toy("nano-mining", trained, low_res_encoder=wrong), tmp_path / "run")
    assert "\n" not in str(raised.value)


# Tasks


@pytest.mark.parametrize("name", ["nano-low-res-encoder", "nano-high-res-encoder", "nano-text", "nano-mining"])
def test_a_task_trains_only_its_declared_parts(trained, name):
    task = TASKS[toy(name, trained).task](toy(name, trained))
    trainable.apply(task.module, task.parts)
    counts = trainable.check(task.module, task.parts)
    batch = task.collate([task.sample(number) for number in range(2)])
    task.module(**batch)["loss"].backward()
    for parameter_name, parameter in task.module.named_parameters():
        assert (parameter.grad is not None) == (trainable.part_of(parameter_name, task.parts) is not None)
    assert all(counts.values())


def test_samples_depend_on_their_number_only(trained):
    task = TASKS["language"](toy("nano-text", trained))
    ours, again, other = task.sample(3), task.sample(3), task.sample(4)
    assert torch.equal(ours.input_ids, again.input_ids)
    assert not torch.equal(ours.input_ids, other.input_ids)
    assert torch.equal(ours.labels[1:], ours.input_ids[1:])  # every token has a label


@pytest.mark.parametrize("name", ["nano-low-res-encoder", "nano-high-res-encoder"])
def test_a_resumed_run_equals_an_uninterrupted_one(name, tmp_path):
    recipe = toy(name, tmp_path, steps=3, save_steps=2)
    path = train(recipe, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    shutil.rmtree(tmp_path / "stopped" / "checkpoint-3")
    (tmp_path / "stopped" / path.name).unlink()
    again = train(replace(recipe, workers=1), tmp_path / "stopped")
    assert checkpointing.step_of(checkpointing.checkpoints(tmp_path / "stopped")[0]) == 3
    assert losses(tmp_path / "whole") == losses(tmp_path / "stopped")
    ours, theirs = load_file(path), load_file(again)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


class Line(nn.Module):
    """Fit a line: the smallest train module."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Linear(3, 1)

    def forward(self, x):
        loss = (self.line(x) - x.sum(1, keepdim=True)).square().mean()
        return {"loss": loss, "double": 2 * loss}


class RepeatedBatch:
    """A loader that repeats one batch, split into micro-batches."""

    epoch = batch = 0

    def __init__(self, micro_batches):
        self.micro_batches = micro_batches

    def __len__(self):
        return 1

    def __iter__(self):
        x = torch.arange(24.0).view(8, 3) / 24
        yield [{"x": part} for part in x.chunk(self.micro_batches)]

    def state_dict(self):
        return {}


def test_without_labels_a_step_averages_its_micro_batches(tmp_path):
    logs = []
    for micro_batches in (1, 4):
        recipe = toy(
            "nano-low-res-encoder", tmp_path, global_batch=8, micro_batch=8 // micro_batches, learning_rate=0.1
        )
        args = training_arguments(recipe, tmp_path, 3, 1, [], use_cpu=True)
        trainer = StageTrainer(Line(), MicroBatchStream(RepeatedBatch(micro_batches)), recipe, args)
        trainer.train()
        logs.append([entry for entry in trainer.state.log_history if "loss" in entry])
    for whole, cut in zip(*logs, strict=True):
        assert whole["loss"] == pytest.approx(cut["loss"], rel=1e-5)
        assert cut["double"] == pytest.approx(2 * cut["loss"], rel=1e-5)
    assert logs[0][-1]["loss"] < logs[0][0]["loss"]


def test_labeled_positions_weigh_as_much_as_all_others():
    logits, labels = torch.zeros(1000, 3), torch.zeros(1000, dtype=torch.long)
    logits[:, 0] = 50  # sure of nothing
    assert balanced_cross_entropy(logits, labels).item() == pytest.approx(0)
    labels[7] = 2
    assert balanced_cross_entropy(logits, labels).item() == pytest.approx(25)
    assert balanced_cross_entropy(logits, labels.fill_(2)).item() == pytest.approx(25)
