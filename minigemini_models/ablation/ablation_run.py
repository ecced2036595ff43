"""Run the ablation: all training runs and evaluations, several at a time, each resumed where it stopped."""

import json
import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread

from tqdm import tqdm

from minigemini.io.atomic_write import atomic_write
from minigemini.io.folder_lock import folder_lock
from minigemini.training.run import check_same_recipe, train
from minigemini.training.settings import RunSettings

from .ablation_report import write_report
from .ablation_settings import Ablation
from .measurements import ColumnScores, measure
from .variants import VARIANTS, aligned_folder, alignment, encoders, folder_of, instruction, language

SCORES, RUN_LOG = "scores.json", "run.log"


def run_ablation(ablation: Ablation, folder: Path) -> Path:
    """Train and evaluate all variants, and write the report; finished runs are skipped.

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
    return write_report(folder, collect(folder, ablation.seeds), asdict(ablation))


@dataclass(frozen=True)
class AblationJob:
    """Training runs to execute in order in one process.

    Attributes:
        steps: recipes and the folders they run in.
        questions: questions per skill for the evaluation of the last run; None for no evaluation.
    """

    steps: tuple[tuple[RunSettings, Path], ...]
    questions: int | None = None

    def is_done(self) -> bool:
        """Return whether all runs and the evaluation are finished.

        Raises:
            RecipeError: a folder has a run with other settings.
        """
        for recipe, home in self.steps:
            check_same_recipe(recipe, home)
        trained = all(recipe.result_path(home).exists() for recipe, home in self.steps)
        return trained and (self.questions is None or self._is_measured())

    def run(self) -> None:
        """Run everything that is not finished; output goes to log files."""
        for recipe, home in self.steps:
            if not recipe.result_path(home).exists():
                with _logging(home):
                    train(recipe, home)
        if self.questions is not None and not self._is_measured():
            recipe, home = self.steps[-1]
            with _logging(home):
                measured = measure(recipe.result_path(home), self.questions, home)
            with atomic_write(home / SCORES) as temporary:
                temporary.write_text(json.dumps({"questions": self.questions, "percent": measured}, indent=1) + "\n")

    def _is_measured(self) -> bool:
        scores = self.steps[-1][1] / SCORES
        return scores.exists() and json.loads(scores.read_text())["questions"] == self.questions


def plan_jobs(ablation: Ablation, folder: Path) -> list[list[AblationJob]]:
    """Return all jobs by phase; jobs depend on earlier phases and not on each other."""
    root, share, seeds = str(folder), ablation.share, range(ablation.seeds)
    alone = {folder / name: recipe for name, recipe in encoders(share).items()}
    alone |= {folder / f"language-{seed}": language(seed, share) for seed in seeds}
    aligned = {
        folder / aligned_folder(variant, seed): alignment(variant, seed, root, share)
        for seed in seeds
        for variant in VARIANTS
    }
    # Longest first, so that processes do not idle while the last job runs.
    both = sorted(((variant, seed) for seed in seeds for variant in VARIANTS), key=lambda which: not which[0].hd)
    own = [(instruction(*which, root, share), folder / folder_of(*which)) for which in both]
    return [
        [AblationJob(((recipe, home),)) for home, recipe in alone.items()],
        [
            AblationJob(tuple((recipe, home / step) for step, recipe in steps.items()))
            for home, steps in aligned.items()
        ],
        [AblationJob(((recipe, home),), ablation.questions) for recipe, home in own],
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


def collect(folder: Path, seeds: int) -> dict[str, list[ColumnScores]]:
    """Read the scores of every variant, seed by seed."""
    return {
        variant.name: [
            json.loads((folder / folder_of(variant, seed) / SCORES).read_text())["percent"] for seed in range(seeds)
        ]
        for variant in VARIANTS
    }


def _init_worker() -> None:
    """Initialize a worker process.

    It uses one thread, hides bitsandbytes' warnings about missing kernels, and exits with its parent: orphaned workers
    would still use the folders of a restarted ablation.
    """
    import torch

    Thread(target=_exit_with_parent, args=(multiprocessing.parent_process(),), daemon=True).start()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    torch.set_num_threads(1)


def _exit_with_parent(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)  # safe: files are written atomically


@contextmanager
def _logging(home: Path) -> Iterator[None]:
    """Redirect stderr to the log file of a folder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / RUN_LOG).open("a", encoding="utf-8") as log, redirect_stderr(log):
        yield
