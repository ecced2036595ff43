"""`minigemini data fetch`: bring the files of sources here."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .common import fail, one_line_errors
from .data_list import complete_source

Data = Annotated[Path, typer.Option("--data", help="Folder of all data.")]


@one_line_errors
def download(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Names of `data list`.", autocompletion=complete_source)
    ],
    data: Data = Path("data"),
    mirror: Annotated[
        str | None, typer.Option(help="Folder or URL (https, s3, gs, …) with the same paths, in place of the origins.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 4,
    unpack: Annotated[bool, typer.Option(help="Unpack archives.")] = True,
) -> None:
    """Download sources.

    Run it again to go on where a download broke off. A file has its name only when it is whole and agrees with its
    size and checksum. What a person must ask for is named with how to get it.

    Example: minigemini data fetch llava-pretrain allava-captions --data data
    """
    from ..dataprep.download import download
    from ..dataprep.sources import find_source

    try:
        chosen = [find_source(name) for name in sources]
    except ValueError as error:
        fail(str(error))
    outcome = download(chosen, data, mirror=mirror, workers=workers, unpacked=unpack)
    print(f"{len(outcome.fetched)} files fetched, {len(outcome.present)} were there")
    for file in outcome.by_hand:
        print(f"by hand: {file.path}: {file.by_hand}")
    for line in outcome.failed:
        print(f"minigemini: {line}", file=sys.stderr)
    if outcome.failed:
        fail(f"{len(outcome.failed)} files could not be had; what came in stays, and the same command goes on")
