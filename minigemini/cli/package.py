"""`minigemini package`: write a checkpoint as a folder for the hub that carries its own code."""

from pathlib import Path
from typing import Annotated

import typer

from .common import be_quiet, one_line_errors


@one_line_errors
def package(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="nano, small (pulled), a checkpoint folder, or a hub id.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write; it must not exist.")],
    license_id: Annotated[
        str | None,
        typer.Option(
            "--license", help="The hub's identifier of the weights' license, e.g. apache-2.0.  [default: the card's]"
        ),
    ] = None,
) -> None:
    """Write a checkpoint as a folder for the hub, with its code.

    Transformers loads the folder with trust_remote_code=True where this package is not installed. Prints the folder.

    An adapter has to be merged first (`minigemini merge`).

    Example: minigemini package nano nano-hub
    """
    be_quiet(model)

    from ..io.checkpoint import check_name

    check_name(model)

    from ..packaging.hub_folder import package

    print(package(model, target, license_id))
