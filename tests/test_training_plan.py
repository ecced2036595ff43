"""Plans: exact parameter counts, measured time and memory, and the reason if nothing was measured."""

from dataclasses import replace

import pytest
from tiny_training import tiny_recipe, write_data

from minigemini.training.estimate import make_plan
from minigemini.training.recipe_registry import all_recipes
from minigemini.training.run import train
from minigemini.training.settings import RecipeError
from minigemini_models.pretraining.pretraining_recipe import Pretraining


@pytest.fixture
def data(tmp_path, image):
    return write_data(tmp_path, image, rows=50)


@pytest.mark.parametrize("changes", [{}, {"stage": "align"}, {"adapter": "lora"}, {"tune_encoders": True}])
def test_plan_matches_the_run(tiny_checkpoint, data, tmp_path, changes):
    recipe = tiny_recipe(tiny_checkpoint, data, **changes)
    plan = make_plan(recipe)
    assert plan.measured is not None, plan.why_not
    assert plan.steps == 7
    assert plan.fits == "yes"
    text = plan.text()
    train(recipe, tmp_path / "run")
    page = (tmp_path / "run" / "report.md").read_text()
    for part, count in plan.counted.trained.items():
        assert f"| {part} | {count:,} |" in page
        assert f"{count:,} parameters" in text
    assert f"| frozen | {sum(plan.counted.frozen.values()):,} |" in page
    # benchmarks/results/plan.md has the accuracy of time and memory; steps here take milliseconds.
    assert 0 < plan.measured.seconds_per_step < 10
    assert 10 < plan.measured.tokens_per_sample < 60


def test_published_recipe_is_planned_without_base_and_data():
    plan = make_plan(all_recipes()["MGM-7B-instruct"].changed({"micro_batch": "16"}))
    assert plan.measured is None
    assert plan.samples == 1_500_000
    assert plan.steps == 11_719
    assert plan.counted.trained["language model"] + plan.counted.trained["head"] == 6_738_415_616
    assert plan.counted.bytes > 16 * 6.7e9
    assert "not measured: data/MGM-Finetune/mgm_instruction.json does not exist" in plan.text()
    smaller = [make_plan(all_recipes()[f"MGM-7B-instruct-{way}"]).counted.bytes for way in ("lora", "qlora")]
    assert smaller[1] < smaller[0] < plan.counted.bytes / 3


def test_missing_data_is_an_error(tiny_checkpoint, tmp_path):
    with pytest.raises(RecipeError, match=r"chat.json: no such file"):
        make_plan(tiny_recipe(tiny_checkpoint, tmp_path))


SMALL = {
    "steps": 9,
    "global_batch": 4,
    "micro_batch": 2,
    "low_res_width": 32,
    "low_res_layers": 1,
    "high_res_width": 4,
    "text_width": 32,
    "text_layers": 1,
    "precision": "fp32",
    "workers": 0,
    "report_to": "none",
}


def small(task, **changes):
    return Pretraining(name="small", task=task, **SMALL | changes)


@pytest.mark.parametrize("task", ["encoders", "language-with-labels"])
def test_pretraining_is_planned(tmp_path, task):
    recipe = small(task)
    plan = make_plan(recipe)
    assert plan.measured is not None, plan.why_not
    assert (plan.steps, plan.samples, plan.fits) == (9, None, "yes")
    train(replace(recipe, steps=1), tmp_path / "run")
    page = (tmp_path / "run" / "report.md").read_text()
    for part, count in plan.counted.trained.items():
        assert f"| {part} | {count:,} |" in page
    assert f"| frozen | {sum(plan.counted.frozen.values()):,} |" in page
    text = plan.text()
    assert "36, each generated once" in text
    assert ("tokens" in text) == (task == "language-with-labels")
    assert (plan.measured.tokens_per_sample > 10) == (task == "language-with-labels")


def test_alignment_is_counted_without_its_parts_and_measured_with_them(tmp_path):
    encoders, language = tmp_path / "encoders", tmp_path / "language"
    alignment = small(
        "alignment-with-labels",
        low_res_encoder=str(encoders / "encoders" / "vision_tower.safetensors"),
        high_res_encoder=str(encoders / "encoders" / "high_res_vision_tower.safetensors"),
        language=str(language / "language_model.safetensors"),
    )
    plan = make_plan(alignment)
    assert plan.measured is None
    assert "vision_tower.safetensors: no such file" in plan.text()
    assert plan.counted.trained.keys() == {"mining", "projector"}
    assert plan.counted.frozen.keys() == {"vision tower", "high-res tower", "language model", "other"}
    for task, folder in (("encoders", encoders), ("language-with-labels", language)):
        train(small(task, steps=1), folder)
    complete = make_plan(alignment)
    assert complete.measured is not None, complete.why_not
    assert complete.counted == plan.counted
