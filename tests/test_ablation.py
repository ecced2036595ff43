"""The ablation: variants differ only as declared and share equal runs, and the report draws the right conclusions."""

import pytest

from minigemini.io.plots import NO_PLOTS, can_plot
from minigemini.training.settings import RecipeError
from minigemini_models.ablation.ablation_recipes import (
    aligned_folder,
    alignment,
    encoders,
    instructed_folder,
    instruction,
    language,
    language_folder,
)
from minigemini_models.ablation.ablation_report import write_report
from minigemini_models.ablation.ablation_run import plan_jobs
from minigemini_models.ablation.ablation_settings import Ablation
from minigemini_models.ablation.measurements import SKILLS
from minigemini_models.ablation.results import enough, figures, gains, shows
from minigemini_models.ablation.variants import (
    ENCODERS,
    EXTENDED,
    FINDINGS,
    GRID,
    GROUPS,
    MINING,
    PARTS,
    SMALLER_IMAGE,
    WITHOUT,
    variants,
)
from minigemini_models.nano.curriculum import LANGUAGE_MIXTURES
from minigemini_models.pretraining.init_model import nano_config
from minigemini_models.pretraining.tokenizer import build_tokenizer
from minigemini_models.samples.dataset import SyntheticReader
from minigemini_models.samples.lessons.skills import SMALL_SKILLS

NAMES = {variant.name: variant for variant in variants()}


# Variants and their recipes


def steps_of(variant, seed=0):
    """Return the recipes of a variant in order."""
    aligned, instructed = (step(variant, seed, "root", 1.0) for step in (alignment, instruction))
    return [language(variant, seed, 1.0), aligned, instructed]


def differing(variant, other):
    """Return the settings in which two variants differ, except for names and folders."""
    return {
        name
        for ours, theirs in zip(steps_of(variant), steps_of(other), strict=True)
        for name, value in ours.as_dict().items()
        if value != theirs.as_dict()[name] and name not in ("name", "base")
    }


@pytest.mark.parametrize(
    ("name", "other", "settings"),
    [
        ("no mining", MINING, {"high_res_encoder"}),
        ("high-resolution image of half the size", MINING, {"high_res_size"}),
        ("ConvNeXt of half the width", MINING, {"high_res_encoder", "low_res_encoder", "high_res_width"}),
        ("no reading in stage 2", MINING, {"data"}),
        ("token extension", SMALLER_IMAGE, {"tiling"}),
        ("64 pixels, 64 tokens", MINING, {"high_res_size"}),
        ("256 pixels, 16 tokens", MINING, {"low_res_size", "language"}),
        ("128 pixels, 256 tokens", MINING, {"low_res_size", "language", "high_res_size"}),
        ("Swin", MINING, {"high_res_encoder", "low_res_encoder", "high_res_kind"}),
    ],
)
def test_variants_differ_only_in_their_declared_settings(name, other, settings):
    assert differing(NAMES[name], other) == settings


def test_each_variant_has_a_name_and_settings_of_its_own():
    assert len(NAMES) == len(variants()) == 21
    for seed in range(2):
        assert len({instructed_folder(variant, seed) for variant in variants()}) == 21
    # Those whose recipes are equal would be the same model.
    recipes = [[step.as_dict() | {"name": ""} for step in steps_of(variant)] for variant in variants()]
    assert all(one not in recipes[:number] for number, one in enumerate(recipes))


def test_runs_in_the_same_folder_are_equal():
    for folder, recipe in (
        (language_folder, lambda *which: language(*which, 1.0)),
        (aligned_folder, lambda *which: alignment(*which, "root", 1.0)),
    ):
        runs = {}
        for variant in variants():
            for seed in range(2):
                assert runs.setdefault(folder(variant, seed), recipe(variant, seed)) == recipe(variant, seed)


def test_equal_runs_are_shared(tmp_path):
    parts, aligned, instructed = plan_jobs(Ablation(), tmp_path)
    assert len(parts) == 5 + 3 * 3  # each encoder; per seed, each number of tokens
    assert len(aligned) == 3 * (len(GRID) + 5)  # the grid, no mining, half the width, and three kinds
    assert len(instructed) == 3 * 21
    assert len({job.home for job in (*parts, *aligned, *instructed)}) == 14 + 39 + 63
    for name in ("data", "grid"):
        only = plan_jobs(Ablation(seeds=1, only=(name,)), tmp_path)
        assert [len(phase) for phase in only] == ([2, 1, 8] if name == "data" else [4, 8, 8])


def test_seeds_differ_in_weights_and_order_and_share_encoders():
    first, second = (steps_of(MINING, seed) for seed in (0, 1))
    assert [step.seed for step in second] == [1, 1, 1]
    assert first[1].high_res_encoder == second[1].high_res_encoder
    assert first[1].language != second[1].language


def test_share_reaches_every_step():
    def steps(share):
        recipes = (encoders("swin", share), language(MINING, 0, share), alignment(MINING, 0, "root", share))
        return [recipe.run_length()[1] for recipe in recipes]

    def samples(share):
        return sum(SyntheticReader.open(part.file).rows for part in instruction(MINING, 0, "root", share).data)

    assert [2 * number for number in steps(0.5)] == steps(1.0)
    assert 2 * samples(0.5) == samples(1.0) == sum(sum(part.values()) for part in PARTS.values())


def test_parts_are_skills_of_the_small_world():
    skills = [skill for part in PARTS.values() for skill in part]
    assert {*skills} == SMALL_SKILLS.keys() - {"copying"}  # which has no image
    assert LANGUAGE_MIXTURES["small"].keys() == SMALL_SKILLS.keys()


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_is_a_valid_model(name, tokenizer):
    variant = NAMES[name]
    config = nano_config(alignment(variant, 0, "root", 1.0), tokenizer, variant.encoder is not None)
    assert config.num_image_tokens == variant.tokens
    assert (config.high_res_size, config.low_res_size) == (variant.high_res_size, variant.low_res_size)
    if variant.encoder is not None:
        assert config.high_res_vision_config.model_type == ENCODERS[variant.encoder][0]
        assert config.positions_per_patch >= 1


def test_scenes_fill_the_tiles_of_token_extension():
    assert 2 * EXTENDED.high_res_size == MINING.high_res_size
    assert instruction(EXTENDED, 0, "root", 1.0).tiling == "hd"


# Settings


def test_groups_are_chosen_by_name():
    chosen = Ablation.of({"only": "grid,data", "seeds": "1"})
    assert [*chosen.groups()] == ["grid", "data"]
    assert set(chosen.variants()) == {*GROUPS["grid"], *GROUPS["data"]}
    assert Ablation().variants() == variants()
    assert Ablation.of(dict(word.split("=") for word in chosen.words())) == chosen


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": "1"}, "choose from seeds, questions"),
        ({"seeds": "0"}, "greater than 0, got 0"),
        ({"share": "x"}, "a number"),
        ({"only": "grid,tokens"}, "unknown group 'tokens'; choose from findings, grid, data, encoders"),
        ({"only": ""}, "unknown group ''"),
    ],
)
def test_invalid_settings_raise_an_error(settings, message):
    with pytest.raises(RecipeError, match=message):
        Ablation.of(settings)


# The report


def made_up(shares, otherwise=(50, 50, 50)):
    """Return results with these accuracies in percent per seed, in all skills."""
    return {
        variant: [dict.fromkeys(SKILLS, float(share)) for share in shares.get(variant.name, otherwise)]
        for variant in variants()
    }


def test_a_finding_holds_if_every_seed_agrees(tmp_path):
    finding = FINDINGS[0]
    consistent = made_up({"mining": [60, 70, 80], "no mining": [10, 20, 79]})
    assert gains(finding, consistent) == pytest.approx([50, 50, 1])
    assert shows(finding, consistent)
    assert not shows(finding, made_up({"mining": [60, 70, 80], "no mining": [10, 20, 81]}))
    assert figures(MINING, "the rest", consistent) == pytest.approx([60, 70, 80])
    page = write_report(tmp_path, consistent, Ablation(only=("findings",))).read_text()
    assert "| mining | 70.0 ± 10.0 | 70.0 ± 10.0 | 70.0 ± 10.0 |" in page
    assert "TextVQA, LR 336: 58.2 → 61.5 | reading: 36.3 → 70.0 | +50.0, +50.0, +1.0 | yes |" in page
    assert "reading: 50.0 → 70.0 | +10.0, +20.0, +30.0 | yes |" in page
    assert page.count("| no |") == 1  # token extension is as good as what it is compared with
    assert "## Data" not in page
    assert (tmp_path / "findings.png").exists() == can_plot() == (NO_PLOTS not in page)
    assert not (tmp_path / "grid.png").exists()


def test_columns_average_their_skills():
    results = made_up({})
    results[MINING] = [{**dict.fromkeys(SKILLS, 0.0), "presence": 100.0, "counts": 40.0}]
    assert [figures(MINING, column, results) for column in ("reading", "yes or no", "the rest", "counts")] == [
        [0],
        [50],
        [10],
        [40],
    ]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(16, 10.0), (64, 20.0), (256, 22.0)], 64),  # 5 points by doubling, then 1
        ([(16, 10.0), (64, 14.1), (256, 20.0)], None),
        ([(16, 10.0), (64, 13.9), (256, 90.0)], 16),
        ([(64, 30.0), (128, 20.0)], 64),
        ([(64, 30.0)], None),
    ],
)
def test_enough_is_where_a_doubling_brings_less_than_the_gain(points, expected):
    assert enough(points, gain=2.0) == expected


def test_the_grid_says_how_much_is_enough(tmp_path):
    by_tokens = {16: 10, 64: 40, 256: 41}
    scores = {variant.name: [by_tokens[tokens] + size / 64] * 3 for (size, tokens), variant in GRID.items()}
    page = write_report(tmp_path, made_up(scores), Ablation(only=("grid",), gain=1.5)).read_text()
    assert "|  | 16 tokens | 64 tokens | 256 tokens | enough |" in page
    assert "| 64 pixels | 11.0 ± 0.0 | 41.0 ± 0.0 |  | not reached |" in page
    assert "| 128 pixels | 12.0 ± 0.0 | 42.0 ± 0.0 | 43.0 ± 0.0 | 64 |" in page
    assert "| 256 pixels | 14.0 ± 0.0 | 44.0 ± 0.0 | 45.0 ± 0.0 | 64 |" in page
    assert "| enough | 64 | 64 | not reached |  |" in page  # 1 point from 64 to 128 pixels, 2 from there to 256
    assert "less than 1.5 points" in page
    assert (tmp_path / "grid.png").exists() == can_plot()


def test_data_is_reported_as_changes_of_each_skill(tmp_path):
    results = made_up({"mining": [50, 60, 70], "no counting in stage 2": [49, 58, 67]}, otherwise=(50, 60, 70))
    counting = results[WITHOUT["counting"]]
    results[WITHOUT["counting"]] = [scores | {"counts": 0.0} for scores in counting]
    page = write_report(tmp_path, results, Ablation(only=("data",))).read_text()
    (header,) = [line for line in page.splitlines() if line.startswith("| left out")]
    assert header == "| left out | digits | presence | relations | descriptions | colors | counts | places |"
    assert "| nothing |" + " 60.0 ± 10.0 |" * 7 in page
    (row,) = [line for line in page.splitlines() if line.startswith("| counting")]
    assert row == "| counting |" + " -2.0 ± 1.0 |" * 5 + " -60.0 ± 10.0 | -2.0 ± 1.0 |"
    assert "| reading |" + " +0.0 ± 0.0 |" * 7 in page


def test_a_report_of_all_groups_has_every_variant(tmp_path):
    page = write_report(tmp_path, made_up({}), Ablation()).read_text()
    for variant in (*GROUPS["findings"], *GROUPS["encoders"]):
        assert f"| {variant.name} | 50.0 ± 0.0 |" in page
    assert page.count("\n## ") == len(GROUPS)
    single = {variant: scores[:1] for variant, scores in made_up({}).items()}
    assert "| Swin | 50.0 | 50.0 | 50.0 |" in write_report(tmp_path, single, Ablation(seeds=1)).read_text()
