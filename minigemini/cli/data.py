"""`minigemini data`: assembling training data, one verb a file."""

import typer

from .data_build import build
from .data_download import download
from .data_list import list_sources
from .data_preview import show
from .data_synthesize import synthesize
from .data_validate import doctor

data = typer.Typer(
    help="Find, fetch, examine, build and show training data.\n\nExample: minigemini data list",
    no_args_is_help=True,
    rich_markup_mode=None,
)
data.command("list")(list_sources)
data.command("fetch")(download)
data.command("doctor")(doctor)
data.command("build")(build)
data.command("show")(show)
data.command("synthesize")(synthesize)
