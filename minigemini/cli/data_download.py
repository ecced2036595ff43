"""`minigemini data download`: download the files of data sources."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .common import fail, one_line_errors
from .data_list import complete_source

Data = Annotated[Path, typer.Option("--data", help="Folder that holds all data.")]


@one_line_errors
def download(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...", help="Names of sources, as `data list` shows them.", autocompletion=complete_source
        ),
    ],
    data: Data = Path("data"),
    mirror: Annotated[
        str | None,
        typer.Option(help="Folder or URL (https, s3, gs, …) with the same paths, used in place of the original hosts."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Files to download at a time.")] = 4,
    unpack: Annotated[bool, typer.Option(help="Unpack archives.")] = True,
) -> None:
    """Download data sources.

    Run the command again to resume an interrupted download. A file gets its final name only when it is complete and
    matches its size and checksum. Files that need a registration or a form are listed with instructions.

    Example: minigemini data download llava-pretrain allava-captions --data data
    """
    from ..dataprep.download import download
    from ..dataprep.sources import find_source

    try:
        chosen = [find_source(name) for name in sources]
    except ValueError as error:
        fail(str(error))
    outcome = download(chosen, data, mirror=mirror, workers=workers, unpacked=unpack)
    print(f"{len(outcome.fetched)} files downloaded, {len(outcome.present)} already present")
    for file in outcome.by_hand:
        print(f"download by hand: {file.path}: {file.by_hand}")
    for line in outcome.failed:
        print(f"minigemini: {line}", file=sys.stderr)
    if outcome.failed:
        fail(f"{len(outcome.failed)} files could not be downloaded; run the same command again to resume")
