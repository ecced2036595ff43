"""YAML recipes: parsed by the types of the command line, printed in full, and equal after a round trip."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tiny_training import tiny_recipe, write_data
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.training.recipe import DataPart
from minigemini.training.recipe_registry import all_recipes
from minigemini.training.run_report import command
from minigemini.training.settings import RecipeError
from minigemini.training.yaml_recipes import as_yaml, read_recipe

RECIPES = all_recipes()


def write_recipe(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_recipe_round_trips(tmp_path):
    for recipe in all_recipes().values():
        assert read_recipe(write_recipe(tmp_path, as_yaml(recipe))) == recipe


def test_yaml_contains_every_setting(tmp_path):
    recipe = all_recipes()["MGM-7B-instruct"]
    printed = yaml.safe_load(as_yaml(recipe))
    assert printed.keys() == recipe.as_dict().keys()
    odd = replace(
        recipe,
        name="odd",
        data=(DataPart("a,b*2@c.json", "of: pictures"), DataPart("synthetic:sign#3", weight=1 / 3)),
        learning_rate=1.1e-7,
        base="no",
        features="null",
    )
    assert read_recipe(write_recipe(tmp_path, as_yaml(odd))) == odd


def test_saved_recipe_is_a_recipe_file(tmp_path):
    recipe = all_recipes()["nano-align"]
    assert read_recipe(write_recipe(tmp_path, json.dumps(recipe.as_dict()), "recipe.json")) == recipe


def test_file_derives_from_a_recipe(tmp_path):
    text = """
    recipe: MGM-7B-instruct
    learning_rate: 1e-5   # YAML reads this as a string
    steps: 7
    crop: true
    chat_format: none
    data:
      - a.json@pictures*0.5
      - {file: b.tar, weight: 2}
    """
    assert read_recipe(write_recipe(tmp_path, text)) == replace(
        all_recipes()["MGM-7B-instruct"].changed({"steps": "7"}),
        name="mine",
        learning_rate=1e-5,
        crop=True,
        data=(DataPart("a.json", "pictures", 0.5), DataPart("b.tar", weight=2.0)),
    )
    both = read_recipe(write_recipe(tmp_path, "recipe: nano-language\nname: other\nsteps: 3"))
    assert both == replace(all_recipes()["nano-language"], name="other", steps=3)


def test_file_without_parent(tmp_path):
    made = read_recipe(write_recipe(tmp_path, "stage: align\nbase: nano\ndata: a.json@.,b.json"))
    assert (made.name, made.data) == ("mine", (DataPart("a.json", "."), DataPart("b.json")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: MGM-7B-instruct\nlerning_rate: 1", "unknown setting 'lerning_rate'; did you mean learning_rate?"),
        ("recipe: MGM-7B-instrcut", "did you mean MGM-7B-instruct"),
        ("recipe: nano", "recipe is 'nano', which is several recipes; name one of them, e.g. nano-hd"),
        ("recipe: MGM-7B-instruct\nsteps: many", "steps is 'many'; give a whole number"),
        ("recipe: MGM-7B-instruct\nsteps: 2.5", "steps is '2.5'; give a whole number"),
        ("recipe: MGM-7B-instruct\nsteps: [1]", "steps is [1]; give a whole number"),
        ("recipe: MGM-7B-instruct\nmicro_batch:", "micro_batch is None; give a whole number"),
        ("recipe: MGM-7B-instruct\nlearning_rate: true", "learning_rate is 'true'; give a number"),
        ("recipe: MGM-7B-instruct\nlearning_rate: {a: 1}", "learning_rate is {'a': 1}; give a number"),
        ("recipe: MGM-7B-instruct\ncrop: 1", "crop is '1'; give true or false"),
        ("recipe: MGM-7B-instruct\nschedule: 2026-01-01", "give one of cosine, linear, constant"),
        ("recipe: MGM-7B-instruct\nschedule: off", "schedule is 'false'; give one of cosine, linear, constant"),
        ("recipe: MGM-7B-instruct\nbase: 5", "base is 5; give text"),
        ("recipe: MGM-7B-instruct\nbase:", "base is None; give text"),
        ("recipe: MGM-7B-instruct\ndata: 5", "data is 5; give a list of sources"),
        ("recipe: MGM-7B-instruct\ndata: [5]", "data is 5; give text"),
        ("recipe: MGM-7B-instruct\ndata: []", "no data; give data=FILE"),
        ("recipe: MGM-7B-instruct\ndata: [{files: a}]", "unknown key of data 'files'; did you mean file?"),
        ("recipe: MGM-7B-instruct\ndata: [{images: a}]", "data has no file; give file: FILE"),
        ("recipe: MGM-7B-instruct\ndata: [{file: a, weight: x}]", "data.weight is 'x'; give a number"),
        ("recipe: MGM-7B-instruct\nsteps: 0", "steps is 0; give more than 0"),
        ("recipe: MGM-7B-instruct\nseed: 1\nseed: 2", "seed is given twice"),
        ("recipe: MGM-7B-instruct\nname: a/b", "name is 'a/b'; use letters, digits, "),
        ("stage: align\nbase: nano", "missing data; set it, or derive from a recipe"),
        ("learning_rate: 1", "give recipe: NAME"),
        ("- a", "not a recipe; write one `key: value` a line"),
        ("", "not a recipe"),
        ("a: [", "not YAML: "),
        ("a: !!python/object:os.system x", "not YAML: "),
        ("? [a, b]\n: c", "not YAML: "),
        ("? {a: b}\n: c", "not YAML: "),
    ],
)
def test_errors_are_one_line_and_name_the_file(text, message, tmp_path):
    path = write_recipe(tmp_path, text)
    with pytest.raises(RecipeError) as raised:
        read_recipe(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def train(*words: object):
    return CliRunner().invoke(app, ["train", *map(str, words)], catch_exceptions=False)


def test_printed_config_can_be_trained(tmp_path):
    printed = train("MGM-7B-HD-instruct-lora", "learning_rate=3e-5", "data=a.json@b*2", "--print-config")
    path = write_recipe(tmp_path, printed.stdout)
    assert train(path, "--print-config").stdout == printed.stdout
    assert "learning_rate: 3.0e-05\n" in printed.stdout
    assert "seed: 5\n" in train(path, "seed=5", "--print-config").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.yaml"], "no.yaml: no such file"),
        (["nano", "--print-config"], "nano is several recipes; name one of them, e.g. nano-hd"),
        (["ablation", "--print-config"], "ablation is several recipes; give the name of a single recipe"),
        (["MGM-7B-align", "step=3", "--print-config"], "did you mean steps"),
    ],
)
def test_cli_errors_are_one_line(words, message):
    done = train(*words)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_cli_trains_a_file(tiny_checkpoint, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path, image, rows=4)
    text = f"recipe: MGM-7B-align\nbase: {tiny_checkpoint}\ndata: captions.json@.\nglobal_batch: 2\nmicro_batch: 1"
    done = train(write_recipe(tmp_path, f"{text}\nworkers: 0\n"), "steps=2")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == "runs/mine/stage1.safetensors"
    assert "    minigemini train runs/mine/recipe.json\n" in (tmp_path / "runs/mine/report.md").read_text()
    saved = read_recipe(tmp_path / "runs/mine/recipe.json")
    assert (saved.name, saved.steps) == ("mine", 2)


def test_report_command_reproduces_the_run(tmp_path):
    recipe = tiny_recipe(tmp_path, tmp_path)
    assert command(all_recipes()["MGM-7B-align"], tmp_path) == "minigemini train MGM-7B-align"
    assert command(replace(recipe, name="mine"), tmp_path) == f"minigemini train {tmp_path}/recipe.json"
