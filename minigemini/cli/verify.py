"""`minigemini verify`: check the files of a model."""

import sys
from typing import Annotated

import typer

from .common import MODEL_HELP, be_quiet, fail, one_line_errors


@one_line_errors
def verify(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP} Or the folder of any other model.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write SHA256SUMS for the files as they are; only for files that you trust.")
    ] = False,
) -> None:
    """Check that a model's files are complete and unchanged.

    Compares files with their SHA-256 from SHA256SUMS (which this package writes into every folder) or from the hub.
    Without hashes it checks headers, names, shapes, and that all values are finite. Exits with code 2 if a check fails.

    Example: minigemini verify my-model
    """
    be_quiet(model)

    from pathlib import Path

    from tqdm import tqdm

    from ..inference.verify_model import verify
    from ..io.hashes import DamagedFileError, OnProgress, write_sums

    bars: list[tqdm] = []

    def progress(label: str, total: int) -> OnProgress:
        bars.append(tqdm(desc=label, total=total, unit="B", unit_scale=True, disable=None, delay=2, leave=False))
        return bars[-1].update

    if write:
        if not Path(model).is_dir():
            fail(f"--write: {model} is not a local folder")
        write_sums(Path(model))
    try:
        report = verify(model, progress)
    except DamagedFileError as error:
        fail(f"{error}; copy or download it again")
    finally:
        for bar in bars:
            bar.close()
    print(f"{report.folder}: no problems found")
    for line in report.checked:
        print(f"  checked    {line}")
    for line in report.unknown:
        print(f"  unchecked  {line}")
    sys.stdout.flush()
