"""The ablation end to end, on a few samples: runs are trained, measured, resumed and skipped."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from waiting import wait_until

from minigemini.io.checkpoint import open_checkpoint
from minigemini.training import checkpointing
from minigemini.training.settings import RecipeError
from minigemini_models.ablation import ablation_run
from minigemini_models.ablation.ablation_recipes import instructed_folder
from minigemini_models.ablation.ablation_run import SCORES, Ablation, collect, plan_jobs, run_ablation
from minigemini_models.ablation.measurements import SKILLS
from minigemini_models.ablation.variants import BASELINE, EXTENDED

pytestmark = pytest.mark.slow

CHOSEN = (BASELINE, EXTENDED)
"""All kinds of jobs, with one encoder."""


class Chosen(Ablation):
    """An ablation of two variants."""

    def variants(self):
        return CHOSEN


TOY = Chosen(seeds=1, questions=1, share=0.0005, processes=1)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run two variants in a worker process."""
    folder = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation_run, "write_report", lambda folder, results, ablation: folder / "report.md")
        run_ablation(TOY, folder)
    return folder, collect(TOY, folder)


@pytest.fixture
def copied(ran, tmp_path):
    """Return a copy of the folder and its jobs, to be run in this process."""
    folder = tmp_path / "copied"
    shutil.copytree(ran[0], folder)
    jobs = [job for jobs in plan_jobs(TOY, ran[0]) for job in jobs]  # their recipes name the first folder
    return folder, [replace(job, home=folder / job.home.relative_to(ran[0])) for job in jobs]


def modification_times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".safetensors", ".json")}


def test_the_ablation_runs_end_to_end(ran):
    folder, results = ran
    assert [*results] == [*CHOSEN]
    for variant, (measured,) in results.items():
        assert measured.keys() == SKILLS.keys()
        assert all(0 <= share <= 100 for share in measured.values())
        scores = json.loads((folder / instructed_folder(variant, 0) / SCORES).read_text())
        assert scores == {"questions": 1, "percent": measured}
    models = {variant: folder / instructed_folder(variant, 0) / "model" for variant in CHOSEN}
    names = {variant: open_checkpoint(model).tensors for variant, model in models.items()}
    assert not any("mining" in name for name in names[BASELINE])
    assert any("mining" in name for name in names[EXTENDED])
    config = json.loads((models[EXTENDED] / "config.json").read_text())
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
    home = folder / instructed_folder(BASELINE, 0)
    shutil.rmtree(home / "model")
    (home / SCORES).unlink()
    others = {path: time for path, time in modification_times(folder).items() if home not in path.parents}
    (left,) = [job for job in jobs if not job.is_done()]
    left.run()
    assert {path: time for path, time in modification_times(folder).items() if home not in path.parents} == others
    assert left.is_done()
    assert (home / SCORES).read_text() == (ran[0] / home.name / SCORES).read_text()
    assert checkpointing.checkpoints(home)


def test_more_questions_need_no_training(copied):
    folder, jobs = copied
    home = folder / instructed_folder(BASELINE, 0)
    (job,) = [job for job in jobs if job.home == home]
    more = replace(job, questions=2)
    assert not more.is_done()
    before = (home / "model" / "model.safetensors").stat().st_mtime_ns
    more.run()
    assert more.is_done()
    assert (home / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_runs_with_other_settings_are_not_mixed(ran):
    folder, _ = ran
    with pytest.raises(RecipeError, match="steps was 3 and is 12000"):
        run_ablation(replace(TOY, share=2.0), folder)
