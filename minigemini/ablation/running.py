"""Every run of the ablation, several at a time, each taken up again where it was left."""

import json
import logging
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from ..model.writing import written_aside
from ..training.recipe import CHECKPOINT
from ..training.results import result_path
from ..training.settings import RecipeError, Settings, parse_number
from .measuring import Measured, measure
from .reporting import write_report
from .variants import VARIANTS, Variant, chain, encoders, folder_of, language

SCORES, RUN_LOG = "scores.json", "run.log"


@dataclass(frozen=True)
class Ablation:
    """How large an ablation is.

    Attributes:
        seeds: how many; they set new weights and the order of samples, and are common to all variants.
        questions: per skill.
        share: of the usual steps and samples.
        processes: runs at a time, each of one thread.
    """

    seeds: int = 3
    questions: int = 200
    share: float = 1.0
    processes: int = os.cpu_count() or 1

    @classmethod
    def of(cls, settings: dict[str, str]) -> "Ablation":
        """From `key=value` settings.

        Raises:
            RecipeError: One is unknown or out of its range.
        """
        kinds = {"seeds": int, "questions": int, "share": float, "processes": int}
        if unknown := set(settings) - kinds.keys():
            raise RecipeError(f"ablation: unknown setting {min(unknown)!r}; there are {', '.join(kinds)}")
        values = {name: parse_number(kinds[name], name, text) for name, text in settings.items()}
        for name, value in values.items():
            if not value > 0:
                raise RecipeError(f"ablation: {name} is {value}; give more than 0")
        return cls(**values)


def run_ablation(ablation: Ablation, folder: Path) -> Path:
    """Train and measure all variants, and report; gives the report. Runs that are finished take no time.

    Raises:
        RecipeError: The folder holds runs of other settings.
        KeyboardInterrupt: It was asked to stop, and each run has saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = {folder / name: recipe for name, recipe in encoders(ablation.share).items()}
    second = {folder / f"language-{seed}": language(seed, ablation.share) for seed in range(ablation.seeds)}
    both = [(variant, seed) for seed in range(ablation.seeds) for variant in VARIANTS]
    spawn = multiprocessing.get_context("spawn")
    total = len(first) + len(second) + len(both)
    with (
        ProcessPoolExecutor(ablation.processes, mp_context=spawn, initializer=_begin) as pool,
        tqdm(total=total, desc="ablation", unit="run", dynamic_ncols=True) as bar,
    ):
        try:
            for runs in (first, second):
                for done in as_completed([pool.submit(_train, recipe, home) for home, recipe in runs.items()]):
                    done.result()
                    bar.update()
            for done in as_completed([pool.submit(_variant, *which, folder, ablation) for which in both]):
                done.result()
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return write_report(folder, collect(folder, ablation.seeds), asdict(ablation))


def collect(folder: Path, seeds: int) -> dict[str, list[Measured]]:
    """The scores of every variant, seed by seed."""
    return {
        variant.name: [json.loads((folder / folder_of(variant, seed) / SCORES).read_text()) for seed in range(seeds)]
        for variant in VARIANTS
    }


def _begin() -> None:
    """In a new process: one thread, and no word of what bitsandbytes has no kernel for."""
    import torch

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    torch.set_num_threads(1)


def _variant(variant: Variant, seed: int, folder: Path, ablation: Ablation) -> None:
    """Train and measure one variant."""
    home = folder / folder_of(variant, seed)
    for step, recipe in chain(variant, seed, str(folder), ablation.share).items():
        _train(recipe, home / step)
    if not (home / SCORES).exists():
        with (home / RUN_LOG).open("a") as log, redirect_stderr(log):
            measured = measure(home / "instruct" / CHECKPOINT, ablation.questions, home)
        with written_aside(home / SCORES) as aside:
            aside.write_text(json.dumps(measured, indent=1) + "\n")


def _train(recipe: Settings, home: Path) -> None:
    """Run a recipe in this process; what it shows goes into a file."""
    from ..training.run import hold, train

    hold(recipe, home)
    if not result_path(recipe, home).exists():
        home.mkdir(parents=True, exist_ok=True)
        with (home / RUN_LOG).open("a") as log, redirect_stderr(log):
            train(recipe, home)
