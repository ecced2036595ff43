"""`minigemini compare`: set two evaluation runs side by side."""

from pathlib import Path
from typing import Annotated

import typer

from .common import fail, one_line_errors


@one_line_errors
def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Output folder of one `minigemini eval`.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Output folder of another, of the same tasks.")],
    samples: Annotated[int, typer.Option(min=0, help="Changed samples to list per task.")] = 20,
) -> None:
    """Compare two evaluation runs, with intervals and paired tests.

    Prints Markdown: scores with 95 % intervals, differences (the second run minus the first), and the samples whose
    score changed.

    Example: minigemini compare runs/eval/before runs/eval/after
    """
    from ..evaluation.run_comparison import compare_runs
    from ..evaluation.task import DataError

    try:
        print(compare_runs(first, second, samples))
    except DataError as error:
        fail(str(error))
