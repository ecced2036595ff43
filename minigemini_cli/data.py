"""`minigemini data`: assembling training data, one verb a file."""

import typer

from .data_synthesize import synthesize

data = typer.Typer(
    help="Assemble training data.\n\nExample: minigemini data synthesize --help",
    no_args_is_help=True,
    rich_markup_mode=None,
)
data.command("synthesize")(synthesize)


@data.callback()
def _verbs() -> None:
    """Keep a single verb a verb: typer would run it in place of the group."""
