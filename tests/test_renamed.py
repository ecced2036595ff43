"""Names of 0.1 work in 0.2, each with one line of warning."""

import json

import pytest

from minigemini.evaluation.registry import RENAMED as TASKS
from minigemini.evaluation.registry import find_tasks
from minigemini.training.batches import open_part
from minigemini.training.recipe import DataPart
from minigemini.training.recipe_registry import all_recipes
from minigemini.training.settings import RENAMED, RecipeError, parse_settings

VALUES = {
    "optimiser": ("adamw-8bit", "adamw-8bit"),
    "small_parts_rate": ("0.5", 0.5),
    "watch": ("none", "none"),
    "keep": ("3", 3),
    "checkpoint_every": ("7", 7),
    "warmup_share": ("0.1", 0.1),
    "max_faulty_share": ("0.2", 0.2),
    "geometry": ("normal", "normal"),
}


@pytest.mark.parametrize("old", VALUES)
def test_a_recipe_key(old, capsys):
    word, value = VALUES[old]
    recipe = all_recipes()["MGM-7B-instruct"].changed(parse_settings([f"{old}={word}"]))
    assert getattr(recipe, RENAMED[old]) == value
    assert capsys.readouterr().err == (
        f"minigemini: setting {old} is now called {RENAMED[old]}; the old name works in 0.2 only\n"
    )
    with pytest.raises(RecipeError, match="are the same setting"):
        recipe.changed(parse_settings([f"{old}={word}", f"{RENAMED[old]}={word}"]))


def test_a_key_of_a_pretraining_recipe():
    assert all_recipes()["nano-painter"].changed({"begin_with": "none"}).init_from is None


def test_run_started_with_old_names_is_resumed():
    recipe = all_recipes()["MGM-7B-instruct"]
    current = {new: old for old, new in RENAMED.items()}
    saved = json.loads(json.dumps(recipe.as_dict()))
    assert recipe.differences({current.get(name, name): value for name, value in saved.items()}) == []


def test_synthetic_data(capsys):
    reader = open_part(DataPart("drawn:sign#3"))
    assert (len(reader), reader.name) == (3, "synthetic:sign")
    assert "data drawn:sign#3 is now called synthetic:sign#3" in capsys.readouterr().err


@pytest.mark.parametrize("old", TASKS)
def test_a_task(old, capsys):
    [task] = find_tasks([old, TASKS[old]])
    assert task.name == TASKS[old]
    assert capsys.readouterr().err.count("\n") == 1


def test_modules():
    with pytest.warns(DeprecationWarning, match=r"minigemini\.model_folder"):
        from minigemini.nano import NANO_DIR
    assert (NANO_DIR / "config.json").is_file()
    with pytest.warns(DeprecationWarning, match=r"minigemini\.modeling"):
        from minigemini.model import MiniGeminiConfig
    assert MiniGeminiConfig.model_type == "minigemini"
