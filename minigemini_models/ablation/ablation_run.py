"""Every run of the ablation, several at a time, each taken up again where it was left."""

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
from .measurements import Measured, measure
from .variants import VARIANTS, aligned_folder, alignment, encoders, folder_of, instruction, language

SCORES, RUN_LOG = "scores.json", "run.log"


def run_ablation(ablation: Ablation, folder: Path) -> Path:
    """Train and measure all variants, and report; gives the report. What is finished takes no time.

    Raises:
        RecipeError: The folder holds runs of other settings.
        FolderInUseError: Another process works in it.
        KeyboardInterrupt: It was asked to stop, and each run has saved.
    """
    with folder_lock(folder):
        return _run(ablation, folder)


def _run(ablation: Ablation, folder: Path) -> Path:
    phases = work(ablation, folder)
    left = [[job for job in jobs if not job.is_done()] for jobs in phases]
    total = sum(map(len, phases))
    if any(left):
        with tqdm(
            total=total, initial=total - sum(map(len, left)), desc="ablation", unit="run", dynamic_ncols=True
        ) as bar:
            _go_through(left, ablation.processes, bar)
    return write_report(folder, collect(folder, ablation.seeds), asdict(ablation))


@dataclass(frozen=True)
class AblationJob:
    """Recipes one behind the other, in one process.

    Attributes:
        steps: recipes and the folders they run in.
        questions: per skill that the last one's result is asked; None trains alone.
    """

    steps: tuple[tuple[RunSettings, Path], ...]
    questions: int | None = None

    def is_done(self) -> bool:
        """Whether nothing is left of it.

        Raises:
            RecipeError: A folder holds a run of other settings.
        """
        for recipe, home in self.steps:
            check_same_recipe(recipe, home)
        trained = all(recipe.result_path(home).exists() for recipe, home in self.steps)
        return trained and (self.questions is None or self._is_measured())

    def run(self) -> None:
        """Do what is left; what it shows goes into files."""
        for recipe, home in self.steps:
            if not recipe.result_path(home).exists():
                with _logging(home):
                    train(recipe, home)
        if self.questions is not None and not self._is_measured():
            recipe, home = self.steps[-1]
            with _logging(home):
                measured = measure(recipe.result_path(home), self.questions, home)
            with atomic_write(home / SCORES) as aside:
                aside.write_text(json.dumps({"questions": self.questions, "percent": measured}, indent=1) + "\n")

    def _is_measured(self) -> bool:
        scores = self.steps[-1][1] / SCORES
        return scores.exists() and json.loads(scores.read_text())["questions"] == self.questions


def work(ablation: Ablation, folder: Path) -> list[list[AblationJob]]:
    """All jobs: those of a phase need those of the phases before, and not each other."""
    root, share, seeds = str(folder), ablation.share, range(ablation.seeds)
    alone = {folder / name: recipe for name, recipe in encoders(share).items()}
    alone |= {folder / f"language-{seed}": language(seed, share) for seed in seeds}
    aligned = {
        folder / aligned_folder(variant, seed): alignment(variant, seed, root, share)
        for seed in seeds
        for variant in VARIANTS
    }
    # The longest first: what is left to the end is done by one process while the others have nothing to do.
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


def _go_through(phases: list[list[AblationJob]], processes: int, bar: tqdm) -> None:
    """Run what is left of each phase, several jobs at a time."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_begin) as pool:
        try:
            for jobs in phases:
                for done in as_completed([pool.submit(job.run) for job in jobs]):
                    done.result()
                    bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def collect(folder: Path, seeds: int) -> dict[str, list[Measured]]:
    """The scores of every variant, seed by seed."""
    return {
        variant.name: [
            json.loads((folder / folder_of(variant, seed) / SCORES).read_text())["percent"] for seed in range(seeds)
        ]
        for variant in VARIANTS
    }


def _begin() -> None:
    """In a new process: one thread, no word of what bitsandbytes has no kernel for, and an end with the process that
    asked, lest a run that is begun again finds others at work in its folders."""
    import torch

    Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    torch.set_num_threads(1)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)  # what is on the disk is whole at any moment


@contextmanager
def _logging(home: Path) -> Iterator[None]:
    """Have what is shown written into a file of this folder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / RUN_LOG).open("a", encoding="utf-8") as log, redirect_stderr(log):
        yield
