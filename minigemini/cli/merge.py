"""`minigemini merge`: write an adapter and its base model as one checkpoint folder."""

from pathlib import Path
from typing import Annotated

import typer

from .common import Base, be_quiet, one_line_errors


@one_line_errors
def merge(
    adapter: Annotated[
        str, typer.Argument(metavar="ADAPTER", help="A PEFT folder (LoRA), or a safetensors file of connector weights.")
    ],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write; it must not exist.")],
    base: Base = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.  [default: the base's]")
    ] = None,
) -> None:
    """Merge an adapter into its base model.

    Writes a complete checkpoint and prints its folder. DST appears only when the checkpoint is complete.

    Example: minigemini merge runs/my-adapter my-model --base nano
    """
    be_quiet(adapter)

    from ..io.checkpoint import check_name

    check_name(adapter)

    from ..io.merging import merge

    print(merge(adapter, target, base, dtype))
