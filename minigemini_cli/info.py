"""`minigemini info`: what a checkpoint consists of."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from .common import MODEL_HELP, be_quiet, one_line_errors

if TYPE_CHECKING:
    from minigemini.inference.report import Report


@one_line_errors
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Tell what a model consists of: parameters by part, tokens per picture, memory by dtype.

    Example: minigemini info nano
    """
    be_quiet(model)

    from minigemini.inference.report import report

    found = report(model)
    print(json.dumps(_described(found), ensure_ascii=False) if as_json else _table(found))


def _described(found: "Report") -> dict[str, object]:
    return {
        "model": found.model,
        "folder": str(found.folder),
        "parameters": {**found.parameters, "total": found.total},
        "tokens_per_picture": found.tokens_per_picture,
        "low_res_size_px": found.low_res_size_px,
        "high_res_size_px": found.high_res_size_px,
        "tiles": found.tiles,
        "positions_per_patch": found.positions_per_patch,
        "weights_bytes": found.weights_bytes,
        "stored_as": found.stored_as,
    }


def _table(found: "Report") -> str:
    mined = "mining" in found.parameters
    size = f"{found.low_res_size_px} px" + (f" and {found.high_res_size_px} px" if mined else "")
    looks = f", each over {found.positions_per_patch} x {found.positions_per_patch} high-res positions" if mined else ""
    tiles = "1 tile" if found.tiles == 1 else f"{found.tiles} tiles"
    rows = [*found.parameters.items(), ("total", found.total)]
    return "\n".join(
        [
            f"{found.model} ({found.folder})",
            "",
            f"picture     {size}, {tiles}, {found.tokens_per_picture} tokens{looks}",
            "",
            "parameters",
            *(f"  {part:<16}{count:>15,}{count / found.total:>8.1%}" for part, count in rows),
            "",
            "memory for the weights",
            *(f"  {dtype:<16}{size / 1e6:>12,.1f} MB" for dtype, size in found.weights_bytes.items()),
            "",
            f"stored as {', '.join(f'{dtype} ({count:,})' for dtype, count in found.stored_as.items())}",
        ]
    )
