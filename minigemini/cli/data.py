"""`minigemini data`: prepare training data; each subcommand has a file of its own."""

import typer

from .data_build import build
from .data_download import download
from .data_list import list_sources
from .data_preview import preview
from .data_synthesize import synthesize
from .data_validate import validate

data = typer.Typer(
    help="Find, download, validate, build and preview training data.\n\nExample: minigemini data list",
    no_args_is_help=True,
    rich_markup_mode=None,
)
data.command("list")(list_sources)
data.command("download")(download)
data.command("validate")(validate)
data.command("build")(build)
data.command("preview")(preview)
data.command("synthesize")(synthesize)
# Earlier names of the same commands.
data.command("fetch", hidden=True)(download)
data.command("doctor", hidden=True)(validate)
data.command("show", hidden=True)(preview)
