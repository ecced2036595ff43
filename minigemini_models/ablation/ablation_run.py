"""Run the ablation: all training runs and evaluations, several at a time, each resumed where it stopped."""

import json
import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from minigemini.io.atomic_write import atomic_write
from minigemini.io.folder_lock import folder_lock
from minigemini.io.system import exit_with_parent
from minigemini.training.run import check_same_recipe, train
from minigemini.training.settings import RunSettings

from .ablation_recipes import (
    aligned_folder,
    alignment,
    encoders,
    encoders_folder,
    instructed_folder,
    instruction,
    language,
    language_folder,
)
from .ablation_report import write_report
from .ablation_settings import Ablation
from .measurements import Scores, measure
from .variants import ENCODER, Variant

SCORES, RUN_LOG = "scores.json", "run.log"


def run_ablation(ablation: Ablation, folder: Path) -> Path:
    """Train and evaluate the variants of the chosen groups, and write the report; finished runs are skipped.

    Returns:
        The path of the report.

    Raises:
        RecipeError: the folder has runs with other settings.
        FolderInUseError: another process uses the folder.
        KeyboardInterrupt: the run was interrupted; every run has saved a checkpoint.
    """
    with folder_lock(folder):
        return _run(ablation, folder)


def _run(ablation: Ablation, folder: Path) -> Path:
    phases = plan_jobs(ablation, folder)
    left = [[job for job in jobs if not job.is_done()] for jobs in phases]
    total = sum(map(len, phases))
    if any(left):
        with tqdm(
            total=total, initial=total - sum(map(len, left)), desc="ablation", unit="run", dynamic_ncols=True
        ) as bar:
            _run_phases(left, ablation.processes, bar)
    return write_report(folder, collect(ablation, folder), ablation)


@dataclass(frozen=True)
class AblationJob:
    """A training run, and the evaluation of its result.

    Attributes:
        recipe: what to train.
        home: folder of the run.
        questions: questions per skill; None for no evaluation.
    """

    recipe: RunSettings
    home: Path
    questions: int | None = None

    def is_done(self) -> bool:
        """Return whether the run and the evaluation are finished.

        Raises:
            RecipeError: the folder has a run with other settings.
        """
        check_same_recipe(self.recipe, self.home)
        return self._is_trained() and self._is_measured()

    def run(self) -> None:
        """Do what is not finished; output goes to a log file."""
        with _logging(self.home):
            if not self._is_trained():
                train(self.recipe, self.home)
            if self.questions is not None and not self._is_measured():
                measured = measure(self.recipe.result_path(self.home), self.questions, self.home)
                with atomic_write(self.home / SCORES) as temporary:
                    scores = {"questions": self.questions, "percent": measured}
                    temporary.write_text(json.dumps(scores, indent=1) + "\n")

    def _is_trained(self) -> bool:
        return self.recipe.result_path(self.home).exists()

    def _is_measured(self) -> bool:
        if self.questions is None:
            return True
        scores = self.home / SCORES
        return scores.exists() and json.loads(scores.read_text())["questions"] == self.questions


def plan_jobs(ablation: Ablation, folder: Path) -> list[list[AblationJob]]:
    """Return all jobs by phase; jobs depend on earlier phases and not on each other.

    Variants share the runs whose folders are the same.
    """
    root, share = str(folder), ablation.share
    # Longest first, so that processes do not idle while the last job runs.
    longest_first = sorted(ablation.variants(), key=lambda variant: (not variant.hd, -variant.tokens))
    both = [(variant, seed) for variant in longest_first for seed in range(ablation.seeds)]
    parts: dict[str, RunSettings] = {
        encoders_folder(encoder): encoders(encoder, share)
        for encoder in dict.fromkeys(variant.encoder or ENCODER for variant in longest_first)
    }
    parts |= {language_folder(*which): language(*which, share) for which in both}
    aligned = {aligned_folder(*which): alignment(*which, root, share) for which in both}
    instructed = {instructed_folder(*which): instruction(*which, root, share) for which in both}
    return [
        [AblationJob(recipe, folder / name) for name, recipe in parts.items()],
        [AblationJob(recipe, folder / name) for name, recipe in aligned.items()],
        [AblationJob(recipe, folder / name, ablation.questions) for name, recipe in instructed.items()],
    ]


def _run_phases(phases: list[list[AblationJob]], processes: int, bar: tqdm) -> None:
    """Run the phases in order, and several jobs of a phase at a time."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_init_worker) as pool:
        try:
            for jobs in phases:
                for done in as_completed([pool.submit(job.run) for job in jobs]):
                    done.result()
                    bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def collect(ablation: Ablation, folder: Path) -> dict[Variant, list[Scores]]:
    """Read the scores of every variant, seed by seed."""
    return {
        variant: [
            json.loads((folder / instructed_folder(variant, seed) / SCORES).read_text())["percent"]
            for seed in range(ablation.seeds)
        ]
        for variant in ablation.variants()
    }


def _init_worker() -> None:
    """Initialize a worker process.

    It uses one thread, hides bitsandbytes' warnings about missing kernels, and exits with its parent: orphaned workers
    would still use the folders of a restarted ablation.
    """
    import torch

    exit_with_parent()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    torch.set_num_threads(1)


@contextmanager
def _logging(home: Path) -> Iterator[None]:
    """Redirect stderr to the log file of a folder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / RUN_LOG).open("a", encoding="utf-8") as log, redirect_stderr(log):
        yield
