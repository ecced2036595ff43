"""`minigemini scene`: draw a synthetic scene to try a model on."""

from pathlib import Path
from typing import Annotated

import typer

from minigemini.cli.common import fail, one_line_errors


@one_line_errors
def scene(
    output: Annotated[Path, typer.Argument(help="PNG to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Random seed; the same seed gives the same scene.")] = 0,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Kind of scene: single, few, count, sign, words, many, text, line, lines, chart or table.  "
            "[default: one of the first five, chosen by the seed]"
        ),
    ] = None,
) -> None:
    """Draw a synthetic scene, and print questions about it.

    Prints the answers, too. The scene and the text in it come from the evaluation split, which is never trained on.

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
