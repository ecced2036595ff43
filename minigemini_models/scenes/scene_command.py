"""`minigemini scene`: a fresh picture of the drawn world to ask about."""

from pathlib import Path
from typing import Annotated

import typer

from minigemini.cli.common import fail, one_line_errors


@one_line_errors
def scene(
    output: Annotated[Path, typer.Argument(help="PNG file to write.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same scene.")] = 0,
    kind: Annotated[
        str | None, typer.Option(help="single, few, count, sign, words, lines, chart or table.  [default: the seed's]")
    ] = None,
) -> None:
    """Draw a scene for nano, and print questions about it.

    Prints their answers, too. Neither the scene nor what is written in it is ever shown in training.

    Example: minigemini scene sign.png --seed 4 --kind sign
    """
    import numpy as np

    from ..samples.conversations import conversation
    from .composition import sample_scene
    from .splits import evaluation

    try:
        drawn = sample_scene(seed, kind, evaluation("texts"))
        drawn.draw()[0].save(output, format="PNG")
    except (ValueError, ModuleNotFoundError, OSError) as error:
        fail(str(error))
    for turn in conversation(drawn, np.random.default_rng(seed)):
        print(f"{turn.question}\n  {turn.answer}")
