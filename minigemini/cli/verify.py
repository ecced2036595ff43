"""`minigemini verify`: whether a model is whole."""

import sys
from typing import Annotated

import typer

from .common import MODEL_HELP, be_quiet, fail, one_line_errors


@one_line_errors
def verify(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP} Or any other model's folder.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write SHA256SUMS of the folder as it is; only for files that you trust.")
    ] = False,
) -> None:
    """Check that a model's files are whole.

    Files are compared with their SHA-256 where the folder lists them (SHA256SUMS, which everything that this package
    writes has) or where the hub names them. Without hashes: headers, names, shapes, and that all numbers are finite.
    Ends with exit code 2 if anything is wrong.

    Example: minigemini verify my-model
    """
    be_quiet(model)

    from pathlib import Path

    from tqdm import tqdm

    from ..inference.verify_model import verify
    from ..io.hashes import DamagedFileError, OnProgress, write_sums

    bars: list[tqdm] = []

    def progress(what: str, total: int) -> OnProgress:
        bars.append(tqdm(desc=what, total=total, unit="B", unit_scale=True, disable=None, delay=2, leave=False))
        return bars[-1].update

    if write:
        if not Path(model).is_dir():
            fail(f"--write: {model} is no folder here")
        write_sums(Path(model))
    try:
        found = verify(model, progress)
    except DamagedFileError as error:
        fail(f"{error}; copy or fetch it again")
    finally:
        for bar in bars:
            bar.close()
    print(f"{found.folder}: whole, as far as can be told")
    for line in found.checked:
        print(f"  checked    {line}")
    for line in found.unknown:
        print(f"  not known  {line}")
    sys.stdout.flush()
