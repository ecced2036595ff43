"""The ablation: every variant differs as it says, runs end to end, and the report draws the right conclusions."""

import json

import pytest
from PIL import Image

from minigemini.ablation import running
from minigemini.ablation.measuring import COLUMNS
from minigemini.ablation.reporting import figures, gains, shows, write_report
from minigemini.ablation.running import SCORES, Ablation, collect, run_ablation
from minigemini.ablation.variants import (
    BASELINE,
    EXTENDED,
    FINDINGS,
    MINING,
    VARIANTS,
    chain,
    encoders,
    folder_of,
)
from minigemini.inference.checkpoint import open_checkpoint
from minigemini.training.settings import RecipeError

TOY = Ablation(seeds=1, questions=2, share=0.001, processes=1)


def differing(variant, other=MINING):
    """Settings in which two variants' steps differ, folders aside."""
    steps = zip(chain(variant, 0, "root", 1.0).values(), chain(other, 0, "root", 1.0).values(), strict=True)
    return {
        name
        for ours, theirs in steps
        for name, value in ours.as_dict().items()
        if value != theirs.as_dict()[name] and name != "base"
    }


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("no mining", {"high_res_encoder"}),
        ("mining, high-res picture of half the size", {"high_res_size"}),
        ("mining, ConvNeXt of half the width", {"high_res_encoder", "high_res_width"}),
        ("mining, no reading in stage 2", {"data"}),
        ("mining, no descriptions in stage 2", {"data"}),
        ("mining, token extension", {"geometry", "micro_batch", "features"}),
    ],
)
def test_a_variant_differs_in_what_it_says_alone(name, settings):
    (variant,) = (variant for variant in VARIANTS if variant.name == name)
    assert differing(variant) == settings


def test_encoders_are_trained_alike():
    narrow, wide = (encoders(1.0)[f"high-res-encoder-{name}"].as_dict() for name in ("narrow", "wide"))
    assert {name for name in wide if wide[name] != narrow[name]} == {"name", "high_res_width"}
    assert wide["high_res_width"] == 2 * narrow["high_res_width"]


def test_seeds_differ_in_weights_and_order_and_share_encoders():
    first, second = (chain(MINING, seed, "root", 1.0) for seed in (0, 1))
    assert [step.seed for step in second.values()] == [1, 1, 1]
    assert first["mining"].high_res_encoder == second["mining"].high_res_encoder
    assert first["mining"].language != second["mining"].language


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "VARIANTS", (BASELINE, EXTENDED))
        patch.setattr(running, "write_report", lambda folder, results, settings: folder / "report.md")
        run_ablation(TOY, folder)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
        run_ablation(TOY, folder)  # all is there
        assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
        results = collect(folder, seeds=1)
    return folder, results


def test_it_runs_from_nothing_to_scores(ran):
    folder, results = ran
    assert results.keys() == {BASELINE.name, EXTENDED.name}
    for (measured,) in results.values():
        assert measured.keys() == COLUMNS.keys()
        assert all(0 <= share <= 100 for share in measured.values())
    names = {
        variant: open_checkpoint(folder / folder_of(variant, 0) / "instruct/model") for variant in (BASELINE, EXTENDED)
    }
    assert not any("mining" in name for name in names[BASELINE].tensors)
    assert any("mining" in name for name in names[EXTENDED].tensors)
    config = json.loads((folder / folder_of(EXTENDED, 0) / "instruct/model/config.json").read_text())
    assert (config["grid_size"], config["use_global_tile"], config["high_res_size"]) == (2, True, 512)


def test_another_size_is_not_mixed_in(ran):
    folder, _ = ran
    with pytest.raises(RecipeError, match="steps was 2 and is 3000"):
        run_ablation(Ablation(seeds=1, questions=2, share=2.0, processes=1), folder)


def made_up(shares: dict[str, list[int]]):
    """Results in which a variant is right in so many percent, seed by seed; others half the time."""
    return {
        variant.name: [dict.fromkeys(COLUMNS, float(share)) for share in shares.get(variant.name, [50, 50, 50])]
        for variant in VARIANTS
    }


def test_a_finding_shows_if_every_seed_says_so(tmp_path):
    finding = FINDINGS[0]
    sure = made_up({"mining": [60, 70, 80], "no mining": [10, 20, 79]})
    assert gains(finding, sure) == pytest.approx([50, 50, 1])
    assert shows(finding, sure)
    unsure = made_up({"mining": [60, 70, 80], "no mining": [10, 20, 81]})
    assert not shows(finding, unsure)
    assert figures("mining", "the rest", sure) == pytest.approx([60, 70, 80])
    page = write_report(tmp_path, sure, {"seeds": 3}).read_text()
    assert "| mining | 70.0 ± 10.0 | 70.0 ± 10.0 | 70.0 ± 10.0 |" in page
    assert "TextVQA, LR 336: 58.2 → 61.5 | reading: 36.3 → 70.0 | +50.0, +50.0, +1.0 | yes |" in page
    assert "reading: 50.0 → 70.0 | +10.0, +20.0, +30.0 | yes |" in page
    assert page.count("| no |") == 1  # token extension, at 50, is below mining
    with Image.open(tmp_path / "plot.png") as plot:
        assert plot.size[0] == 860


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"seed": "1"}, "there are seeds, questions"), ({"seeds": "0"}, "more than 0"), ({"share": "x"}, "a number")],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(RecipeError, match=message):
        Ablation.of(settings)


def test_scores_are_written_whole(ran):
    folder, _ = ran
    assert json.loads((folder / folder_of(BASELINE, 0) / SCORES).read_text()).keys() == COLUMNS.keys()
