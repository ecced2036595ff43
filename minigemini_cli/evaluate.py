"""`minigemini evaluate`: measure the skills of a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from .common import MODEL_HELP, be_quiet, fail, one_line_errors


@one_line_errors
def evaluate(
    models: Annotated[list[str], typer.Argument(metavar="MODEL…", help=MODEL_HELP)],
    samples: Annotated[int, typer.Option(min=1, help="Questions per skill.")] = 400,
    skills: Annotated[
        str,
        typer.Option(help="first: what the embedded model learnt; grown: the whole world; pages: 512-pixel pictures."),
    ] = "first",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table to this file too.")] = None,
) -> None:
    """Measure what checkpoints can do in the drawn world, on scenes that training never draws; prints a Markdown table.

    Example: minigemini evaluate nano runs/nano/export-without-mining --samples 200
    """
    for model in models:
        be_quiet(model)
    if output is not None and not output.parent.is_dir():
        fail(f"{output}: no such folder to write into")

    from minigemini.evaluation.measuring import measure, table
    from minigemini.evaluation.skills import TABLES
    from minigemini.inference.engine import Engine

    if skills not in TABLES:
        fail(f"unknown skills {skills!r}: choose from {', '.join(TABLES)}")
    columns = {}
    try:
        for model in models:
            engine = Engine.load(model)
            columns[model] = [measure(engine, skill, samples) for skill in TABLES[skills]]
        rendered = table(columns)
        print(rendered)
        if output is not None:
            output.write_text(rendered + "\n")
    except (ModuleNotFoundError, OSError) as error:
        fail(str(error))
