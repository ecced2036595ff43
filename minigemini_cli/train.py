"""`minigemini train`: run a recipe of the repository."""

from pathlib import Path
from typing import Annotated

import typer

from .common import fail, one_line_errors


@one_line_errors
def train(
    recipe: Annotated[str, typer.Argument(help="nano, or nano-without-mining for its twin.")],
    folder: Annotated[Path, typer.Option(help="Where the steps keep their work; run again to go on.")] = Path(
        "runs/nano"
    ),
    step: Annotated[
        list[str] | None, typer.Option(help="Only this step; may be repeated. Default: all, in order.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one process; two processes beat two threads.")] = 1,
) -> None:
    """Train the embedded model from nothing, step by step; a run that was stopped goes on where it was.

    Example: minigemini train nano --step low-res-encoder
    """
    import torch

    from minigemini.training.nano import RECIPES, STEPS, StepError, train_nano

    if recipe not in RECIPES:
        fail(f"unknown recipe {recipe!r}: choose from {', '.join(RECIPES)}")
    torch.set_num_threads(threads)
    try:
        train_nano(folder, RECIPES[recipe], tuple(step or STEPS))
    except (StepError, ModuleNotFoundError) as error:
        fail(str(error))
