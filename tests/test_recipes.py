"""Recipes: typed settings, one-line errors, and every recipe built on a tiny model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import tiny_recipe, write_data
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.conversion import PUBLISHED
from minigemini.io.connector import save_connector
from minigemini.training.batches import open_mixture, steps_of
from minigemini.training.build_model import build, configure
from minigemini.training.published_recipes import FIGURES, PUBLISHED_RECIPES
from minigemini.training.recipe import DataPart, Recipe
from minigemini.training.recipe_registry import all_recipes, default_folder, find_recipe, how_to_obtain, pipelines
from minigemini.training.run_report import command
from minigemini.training.settings import RecipeError, parse_settings

RECIPES = all_recipes()
CPU = torch.device("cpu")
FAMILIES = {
    "2B": {"model_type": "gemma", "head_dim": 16, "tie_word_embeddings": True},
    "8x7B": {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
}


@pytest.fixture(scope="module")
def bases(make_model, make_processor, tmp_path_factory):
    """A tiny checkpoint per size, with its type of language model and dimensions that 4-bit weights support."""
    folders = {}
    for size in FIGURES:
        text = {"hidden_size": 64, "intermediate_size": 64, **FAMILIES.get(size, {})}
        model = make_model(text_config=text).bfloat16()
        folders[size] = tmp_path_factory.mktemp(size)
        model.save_pretrained(folders[size])
        make_processor(model.config).save_pretrained(folders[size])
        save_connector(model, folders[size] / "stage1.safetensors", base=str(folders[size]))
    return folders


def test_published_models_have_recipes():
    instructed = {name.removesuffix("-instruct") for name in PUBLISHED_RECIPES if name.endswith("-instruct")}
    assert instructed == set(PUBLISHED)
    assert {f"MGM-{size}-align" for size in FIGURES} <= set(RECIPES)


@pytest.mark.parametrize("name", PUBLISHED_RECIPES)
def test_every_recipe_builds(name, bases):
    size = name.split("-")[1]
    recipe = RECIPES[name]
    base = bases[size] / "stage1.safetensors" if recipe.base.startswith("runs/") else bases[size]
    built = build(replace(recipe, base=str(base), lora_rank=2), CPU)
    parts = {"mining", "projector"}
    if recipe.adapter != "none":
        parts |= {"adapter"}
    elif recipe.stage == "instruct":
        parts |= {"language model"} | ({"head"} if size != "2B" else set())
    assert set(built.trained) == parts
    assert built.base == str(bases[size])
    trains = [p for p in built.module.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 for p in trains)
    assert sum(p.numel() for p in trains) == sum(built.trained.values())
    assert (
        built.processor.num_image_tokens
        == built.model.config.num_image_tokens
        == (20 if name.split("MGM-")[1].split("-", 1)[1] == "HD-instruct" else 4)
    )
    assert built.processor.image_processor.do_pad != recipe.crop
    built.module.train()
    assert not built.model.model.high_res_vision_tower.training
    assert not any(module.training for module in built.model.model.vision_tower.modules())


def test_settings_match_the_paper():
    first, second = RECIPES["MGM-7B-align"], RECIPES["MGM-7B-instruct"]
    assert (first.learning_rate, first.global_batch, first.max_length, first.crop) == (1e-3, 256, 2048, True)
    assert (second.learning_rate, second.global_batch, second.max_length, second.crop) == (2e-5, 128, 2048, False)
    assert RECIPES["MGM-34B-HD-instruct"].learning_rate == RECIPES["MGM-8x7B-instruct"].learning_rate == 1e-5
    assert RECIPES["MGM-13B-HD-instruct"].max_length == 4096
    for recipe in PUBLISHED_RECIPES.values():
        assert (recipe.schedule, recipe.warmup_ratio, recipe.weight_decay, recipe.epochs) == ("cosine", 0.03, 0, 1)
    assert RECIPES["MGM-7B-HD-instruct"].base == RECIPES["MGM-7B-instruct"].base  # of the normal model's stage 1


def test_hd_recipe_has_the_published_tiling():
    config = configure(RECIPES["MGM-7B-HD-instruct"], PUBLISHED["MGM-7B"].config())
    assert config.num_image_tokens == PUBLISHED["MGM-7B-HD"].config().num_image_tokens == 2880
    assert config.high_res_size == PUBLISHED["MGM-7B-HD"].config().high_res_size
    unchanged = configure(RECIPES["MGM-7B-HD-instruct"], config)
    assert unchanged.high_res_size == 1536  # it is HD already
    normal = configure(replace(RECIPES["MGM-7B-instruct"], tiling="normal"), unchanged)
    assert (normal.high_res_size, normal.num_image_tokens) == (768, 576)


def test_settings_are_typed():
    recipe = RECIPES["MGM-7B-instruct"]
    words = ["learning_rate=1e-5", "steps=7", "crop=true", "data=a.json@pictures*0.5,b.tar", "batching=grouped"]
    changed = recipe.changed(parse_settings(words))
    assert (changed.learning_rate, changed.steps, changed.crop, changed.batching) == (1e-5, 7, True, "grouped")
    assert changed.data == (DataPart("a.json", "pictures", 0.5), DataPart("b.tar"))
    assert changed.changed({"steps": "none"}).steps is None


@pytest.mark.parametrize("text", ["a.json", "a.json@p*0.5", "a.json*1*0:1/0.5:0", "synthetic:sign#3@p*2*0.25:1/1:2"])
def test_parts_read_back(text):
    assert str(DataPart.parse(text)) == text


def test_a_wrong_curriculum_names_the_recipe(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "1", "conversations": []}\n')
    recipe = replace(RECIPES["MGM-7B-instruct"], data=(DataPart.parse(f"{tmp_path}/a.jsonl*1*1:0"),))
    with pytest.raises(RecipeError, match="MGM-7B-instruct: data: the curriculum 1:0 needs"):
        open_mixture(recipe)


def test_epochs_and_steps_override_each_other():
    stepped = replace(RECIPES["nano-instruct"], steps=5000)
    for words, extent, steps in (
        (["epochs=4"], "epochs=4", 16),
        (["epochs=1"], "epochs=1", 4),
        (["epochs=4", "steps=none"], "epochs=4", 16),
        (["steps=7"], "steps=7", 7),
        ([], "steps=5000", 5000),
    ):
        changed = stepped.changed(parse_settings([*words, "global_batch=8", "micro_batch=8"]))
        assert (changed.extent, steps_of(changed, 30)) == (extent, steps)
        reproduced = RECIPES["nano-instruct"].changed(
            parse_settings([word for word in command(changed, Path("run")).split() if "=" in word])
        )
        assert reproduced == changed  # by the command in the report
    assert replace(stepped, steps=None, epochs=3.0).changed({"steps": "9"}).extent == "steps=9"
    with pytest.raises(RecipeError, match="epochs=4 and steps=9 are both given; give one"):
        stepped.changed(parse_settings(["epochs=4", "steps=9"]))
    with pytest.raises(RecipeError, match="epochs=4 and steps=5000 are both given; give one"):
        replace(stepped, epochs=4.0)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lerning_rate=1", "unknown setting 'lerning_rate'; did you mean learning_rate"),
        ("name=other", "unknown setting 'name'"),
        ("steps=many", "steps is 'many'; give a whole number"),
        ("learning_rate=fast", "learning_rate is 'fast'; give a number"),
        ("learning_rate=inf", "learning_rate is 'inf'; give a number"),
        ("weight_decay=nan", "weight_decay is 'nan'; give a number"),
        ("crop=yes", "crop is 'yes'; give true or false"),
        ("stage=both", "stage is 'both'; give one of align, instruct"),
        ("steps=0", "steps is 0; give more than 0"),
        ("warmup_ratio=3", "warmup_ratio is 3.0; give a share"),
        ("row_length=10", "do not fit into rows of 10"),
        ("chat_format=latin", "chat_format 'latin' is unknown; use"),
        ("data=", "no data; give data=FILE"),
        ("data=a.json*x", "data is 'x'; give a number"),
        ("steps", "invalid override 'steps': expected key=value"),
        ("epochs=0", "epochs is 0.0; give more than 0"),
    ],
)
def test_invalid_setting_is_a_one_line_error(word, message):
    with pytest.raises(RecipeError, match=message) as raised:
        RECIPES["MGM-7B-instruct"].changed(parse_settings([word]))
    assert "\n" not in str(raised.value)


def test_indivisible_batch_is_rejected():
    with pytest.raises(
        RecipeError, match="a global_batch of 128 does not divide into micro-batches of 8 samples on 3 devices"
    ):
        RECIPES["MGM-7B-instruct"].accumulation(3)
    assert RECIPES["MGM-7B-instruct"].accumulation(8) == 2


def test_missing_base_names_the_command_that_creates_it():
    assert how_to_obtain("models/MGM-13B-HD-aligned").endswith("--stage1 runs/MGM-13B-align/stage1.safetensors --hd")
    assert how_to_obtain("models/MGM-7B-start").startswith("minigemini assemble models/MGM-7B-start --llm lmsys/vicuna")
    assert how_to_obtain("runs/MGM-7B-align/stage1.safetensors") == "minigemini train MGM-7B-align"
    assert how_to_obtain(RECIPES["nano-align"].high_res_encoder) == "minigemini train nano-encoders"
    assert how_to_obtain("elsewhere") is None
    with pytest.raises(RecipeError, match="create it with `minigemini assemble models/MGM-7B-start"):
        build(RECIPES["MGM-7B-align"], CPU)


def test_default_folder():
    assert str(default_folder("MGM-7B-align")) == "runs/MGM-7B-align"
    assert RECIPES["nano-instruct"].base == f"{default_folder('nano-align')}/model"


def test_unknown_recipe_suggests_similar_names():
    with pytest.raises(RecipeError, match="did you mean MGM-7B-instruct"):
        find_recipe("MGM-7B-instrcut")


def test_saved_recipe_is_compared(tmp_path):
    recipe = tiny_recipe(tmp_path, tmp_path)
    saved = json.loads(json.dumps(recipe.as_dict()))
    assert not recipe.differences(saved)
    assert not replace(recipe, workers=3, micro_batch=2).differences(saved)
    assert replace(recipe, seed=1).differences(saved) == ["seed was 0 and is 1"]
    del saved["weight_decay"]  # as if saved before there was such a setting
    assert not recipe.differences(saved)
    assert replace(recipe, weight_decay=0.5).differences(saved) == ["weight_decay was 0.0 and is 0.5"]
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a recipe; `minigemini train --list` shows them"),
        (["MGM-7B-alinge"], "did you mean MGM-7B-align"),
        (["MGM-7B-align", "step=3"], "did you mean steps"),
        (["MGM-7B-align", "--step", "export"], "leave --step out"),
        (["nano", "step=3"], "did you mean steps"),
        (["nano", "--plan"], "name one of them, e.g. nano-hd"),
        (["nano", "--step", "nano-polish"], "unknown step 'nano-polish'"),
        (["nano-instruct"], "create it with `minigemini train nano-align`"),
        (["MGM-7B-align"], "create it with `minigemini assemble"),
    ],
)
def test_cli_errors_are_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["train", *words])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_cli_lists_and_plans(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = CliRunner().invoke(app, ["train", "--list"])
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*pipelines(), *RECIPES]
    plan = CliRunner().invoke(app, ["train", "MGM-2B-align", "--plan"])
    assert plan.exit_code == 0, plan.stderr
    assert "not measured: data/MGM-Pretrain/mgm_pretrain.json does not exist" in plan.stdout
    assert not (tmp_path / "runs").exists()


def test_plan_shows_the_length_of_the_run(tiny_checkpoint, image, tmp_path, monkeypatch):
    """4 epochs of 30 samples in batches of 8 are 16 steps."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path, image, rows=30)
    words = [f"base={tiny_checkpoint}", "data=chat.json@.", "global_batch=8", "micro_batch=8", "workers=0", "epochs=4"]
    plan = CliRunner().invoke(app, ["train", "nano-instruct", *words, "--plan"], catch_exceptions=False)
    assert plan.exit_code == 0, plan.stderr
    text = " ".join(plan.stdout.split())
    assert "steps 16 of 8 samples" in text
    assert "samples per epoch 30; epochs=4" in text


def test_data_without_image_folder_is_rejected(tiny_checkpoint, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path, image, rows=4)
    words = [f"base={tiny_checkpoint}", "data=captions.json", "global_batch=2", "micro_batch=1", "workers=0"]
    done = CliRunner().invoke(app, ["train", "MGM-7B-align", *words], catch_exceptions=False)
    assert done.exit_code == 2
    assert "add their root folder: data=captions.json@FOLDER" in done.stderr


def test_cli_trains(tiny_checkpoint, image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path, image, rows=4)
    words = [f"base={tiny_checkpoint}", "data=captions.json@.", "global_batch=2", "micro_batch=1", "workers=0"]
    done = CliRunner().invoke(app, ["train", "MGM-7B-align", *words, "steps=2"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == "runs/MGM-7B-align/stage1.safetensors"
    page = (tmp_path / "runs/MGM-7B-align/report.md").read_text()
    assert f"    minigemini train MGM-7B-align base={tiny_checkpoint} data=captions.json@. steps=2" in page
    assert list((tmp_path / "runs/MGM-7B-align").rglob("events.out.tfevents*"))
