"""The ablation: variants differ only as declared, run end to end, and the report draws the right conclusions."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from waiting import wait_until

from minigemini.io.checkpoint import open_checkpoint
from minigemini.io.plots import NO_PLOTS, can_plot
from minigemini.training import checkpointing
from minigemini.training.settings import RecipeError
from minigemini_models.ablation import ablation_run
from minigemini_models.ablation.ablation_report import figures, gains, shows, write_report
from minigemini_models.ablation.ablation_run import SCORES, Ablation, collect, run_ablation
from minigemini_models.ablation.measurements import COLUMNS
from minigemini_models.ablation.variants import (
    BASELINE,
    EXTENDED,
    FINDINGS,
    MINING,
    SMALLER_IMAGE,
    VARIANTS,
    aligned_folder,
    alignment,
    encoders,
    folder_of,
    instruction,
)

pytestmark = pytest.mark.slow

TOY = Ablation(seeds=1, questions=1, share=0.0005, processes=1)


def steps_of(variant, seed=0):
    """Return the recipes of a variant in order."""
    return [*alignment(variant, seed, "root", 1.0).values(), instruction(variant, seed, "root", 1.0)]


def differing(variant, other):
    """Return the settings in which two variants differ, except for folders."""
    return {
        name
        for ours, theirs in zip(steps_of(variant), steps_of(other), strict=True)
        for name, value in ours.as_dict().items()
        if value != theirs.as_dict()[name] and name != "base"
    }


@pytest.mark.parametrize(
    ("name", "other", "settings"),
    [
        ("no mining", MINING, {"high_res_encoder"}),
        ("mining, high-res picture of half the size", MINING, {"high_res_size"}),
        ("mining, ConvNeXt of half the width", MINING, {"high_res_encoder", "high_res_width"}),
        ("mining, no reading in stage 2", MINING, {"data"}),
        ("mining, no descriptions in stage 2", MINING, {"data"}),
        ("mining, token extension", SMALLER_IMAGE, {"tiling"}),
    ],
)
def test_variants_differ_only_in_their_declared_settings(name, other, settings):
    (variant,) = (variant for variant in VARIANTS if variant.name == name)
    assert differing(variant, other) == settings


def test_variants_that_only_differ_in_stage_2_share_earlier_steps():
    for variant in VARIANTS:
        same = [other for other in VARIANTS if aligned_folder(other, 0) == aligned_folder(variant, 0)]
        assert all(alignment(other, 0, "r", 1.0) == alignment(variant, 0, "r", 1.0) for other in same)
    assert len({aligned_folder(variant, seed) for variant in VARIANTS for seed in range(3)}) == 12


def test_encoders_differ_in_width_only():
    narrow, wide = (encoders(1.0)[f"high-res-encoder-{name}"].as_dict() for name in ("narrow", "wide"))
    assert {name for name in wide if wide[name] != narrow[name]} == {"name", "high_res_width"}
    assert wide["high_res_width"] == 2 * narrow["high_res_width"]


def test_seeds_differ_in_weights_and_order_and_share_encoders():
    first, second = (steps_of(MINING, seed) for seed in (0, 1))
    assert [step.seed for step in second] == [1, 1, 1]
    assert first[0].high_res_encoder == second[0].high_res_encoder
    assert first[0].language != second[0].language


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run two variants in a worker process."""
    folder = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation_run, "VARIANTS", (BASELINE, EXTENDED))
        patch.setattr(ablation_run, "write_report", lambda folder, results, settings: folder / "report.md")
        run_ablation(TOY, folder)
        results = collect(folder, seeds=1)
    return folder, results


@pytest.fixture
def copied(ran, tmp_path, monkeypatch):
    """Return a copy of the folder and its jobs, to be run in this process."""
    monkeypatch.setattr(ablation_run, "VARIANTS", (BASELINE, EXTENDED))
    folder = tmp_path / "copied"
    shutil.copytree(ran[0], folder)
    jobs = [job for jobs in ablation_run.plan_jobs(TOY, ran[0]) for job in jobs]  # their recipes name the first folder
    moved = [
        replace(job, steps=tuple((recipe, folder / home.relative_to(ran[0])) for recipe, home in job.steps))
        for job in jobs
    ]
    return folder, moved


def modification_times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".safetensors", ".json")}


def test_the_ablation_runs_end_to_end(ran):
    folder, results = ran
    assert results.keys() == {BASELINE.name, EXTENDED.name}
    for variant, (measured,) in results.items():
        assert measured.keys() == COLUMNS.keys()
        assert all(0 <= share <= 100 for share in measured.values())
        scores = json.loads((folder / folder_of(by_name(variant), 0) / SCORES).read_text())
        assert scores == {"questions": 1, "percent": measured}
    names = {variant: open_checkpoint(folder / folder_of(variant, 0) / "model") for variant in (BASELINE, EXTENDED)}
    assert not any("mining" in name for name in names[BASELINE].tensors)
    assert any("mining" in name for name in names[EXTENDED].tensors)
    config = json.loads((folder / folder_of(EXTENDED, 0) / "model" / "config.json").read_text())
    assert (config["grid_size"], config["use_global_tile"], config["high_res_size"]) == (2, True, 256)


def test_workers_exit_with_their_parent(tmp_path):
    program = """
from pathlib import Path
from minigemini_models.ablation.ablation_run import Ablation, run_ablation
run_ablation(Ablation(seeds=1, processes=2), Path("runs"))
"""
    running = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: list(tmp_path.rglob("recipe.json")), seconds=120)
        workers = psutil.Process(running.pid).children(recursive=True)
    finally:
        running.kill()
        running.wait()
    assert len(workers) >= 2
    assert not psutil.wait_procs(workers, timeout=30)[1]


def by_name(name):
    return next(variant for variant in VARIANTS if variant.name == name)


def test_finished_jobs_are_skipped(copied):
    folder, jobs = copied
    before = modification_times(folder)
    assert all(job.is_done() for job in jobs)
    for job in jobs:
        job.run()
    assert modification_times(folder) == before


def test_a_killed_job_resumes_and_others_are_skipped(copied, ran):
    """Simulate a killed process: stage 2 has a training checkpoint, but no result and no scores."""
    folder, jobs = copied
    home = folder / folder_of(BASELINE, 0)
    shutil.rmtree(home / "model")
    (home / SCORES).unlink()
    others = {path: time for path, time in modification_times(folder).items() if home not in path.parents}
    (left,) = [job for job in jobs if not job.is_done()]
    left.run()
    assert {path: time for path, time in modification_times(folder).items() if home not in path.parents} == others
    assert left.is_done()
    assert (home / SCORES).read_text() == (ran[0] / folder_of(BASELINE, 0) / SCORES).read_text()
    assert checkpointing.checkpoints(home)


def test_more_questions_need_no_training(copied):
    folder, jobs = copied
    home = folder / folder_of(BASELINE, 0)
    (job,) = [job for job in jobs if job.steps[-1][1] == home]
    more = replace(job, questions=2)
    assert not more.is_done()
    before = (home / "model" / "model.safetensors").stat().st_mtime_ns
    more.run()
    assert more.is_done()
    assert (home / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_runs_with_other_settings_are_not_mixed(ran):
    folder, _ = ran
    with pytest.raises(RecipeError, match="steps was 1 and is 1600"):
        run_ablation(Ablation(seeds=1, questions=1, share=2.0, processes=1), folder)


def synthetic_results(shares: dict[str, list[int]]):
    """Return results with these accuracies in percent per seed; 50 for other variants."""
    return {
        variant.name: [dict.fromkeys(COLUMNS, float(share)) for share in shares.get(variant.name, [50, 50, 50])]
        for variant in VARIANTS
    }


def test_a_finding_holds_if_every_seed_agrees(tmp_path):
    finding = FINDINGS[0]
    consistent = synthetic_results({"mining": [60, 70, 80], "no mining": [10, 20, 79]})
    assert gains(finding, consistent) == pytest.approx([50, 50, 1])
    assert shows(finding, consistent)
    mixed = synthetic_results({"mining": [60, 70, 80], "no mining": [10, 20, 81]})
    assert not shows(finding, mixed)
    assert figures("mining", "the rest", consistent) == pytest.approx([60, 70, 80])
    page = write_report(tmp_path, consistent, {"seeds": 3}).read_text()
    assert "| mining | 70.0 ± 10.0 | 70.0 ± 10.0 | 70.0 ± 10.0 |" in page
    assert "TextVQA, LR 336: 58.2 → 61.5 | reading: 36.3 → 70.0 | +50.0, +50.0, +1.0 | yes |" in page
    assert "reading: 50.0 → 70.0 | +10.0, +20.0, +30.0 | yes |" in page
    assert page.count("| no |") == 1  # token extension, at 50, is below mining
    assert (tmp_path / "plot.png").exists() == can_plot() == (NO_PLOTS not in page)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": "1"}, "choose from seeds, questions"),
        ({"seeds": "0"}, "greater than 0, got 0"),
        ({"share": "x"}, "a number"),
    ],
)
def test_invalid_settings_raise_an_error(settings, message):
    with pytest.raises(RecipeError, match=message):
        Ablation.of(settings)
