"""`minigemini info`: what a checkpoint consists of."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import MODEL_HELP, Base, be_quiet, one_line_errors
from .streams import print_json

if TYPE_CHECKING:
    from ..inference.model_report import ModelReport


@one_line_errors
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP} Or a published model, e.g. MGM-7B.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    base: Base = None,
) -> None:
    """Show a model's parameters, tokens per picture and memory.

    Parameters are counted by part, and each way of loading is compared with the memory here. No weight is read.
    "Fits" counts the weights, and keys and values of a picture and 1,000 tokens; what a forward pass needs besides
    is small next to them. Of the disk it counts files that are still to come, and weights that would be written there.

    Example: minigemini info nano

    Example: minigemini info MGM-34B-HD (a published model, by its name; nothing is fetched)
    """
    be_quiet(model)

    from ..inference.model_report import report_model
    from ..inference.published_figures import published_reports
    from ..io.checkpoint import check_name
    from ..io.free_memory import free_disk, free_memory

    published = None if Path(model).exists() else published_reports().get(model)
    if published is None:
        check_name(model)
    found, free, disk = published or report_model(model, base), free_memory(), free_disk(Path())
    if as_json:
        print_json(_described(found, free, disk))
    else:
        print(_table(found, free, disk))


def _described(found: "ModelReport", free: dict[str, int], disk: int) -> dict[str, object]:
    fits = found.fits(free, disk)
    return {
        "model": found.model,
        "folder": None if found.folder is None else str(found.folder),
        "parameters": {**found.parameters, "total": found.total},
        "tokens_per_image": found.tokens_per_image,
        "low_res_size_px": found.low_res_size_px,
        "high_res_size_px": found.high_res_size_px,
        "tiles": found.tiles,
        "positions_per_patch": found.positions_per_patch,
        "weights_bytes": found.weights_bytes,
        "quantized_bytes": found.quantized_bytes,
        "cache_bytes_per_1000_tokens": {name: 1000 * size for name, size in found.cache_bytes_per_token.items()},
        "cache_bytes_per_picture": {
            name: found.tokens_per_image * size for name, size in found.cache_bytes_per_token.items()
        },
        "stored_bytes": found.stored_bytes,
        "free_bytes": free,
        "free_disk_bytes": disk,
        "fits": {way: {device: one.answer for device, one in on.items()} for way, on in fits.items()},
        "reasons": {
            way: why
            for way, on in fits.items()
            if (why := {device: one.reason for device, one in on.items() if one.reason})
        },
        "stored_as": found.stored_as,
    }


def _table(found: "ModelReport", free: dict[str, int], disk: int) -> str:
    mined = "mining" in found.parameters
    size = f"{found.low_res_size_px} px" + (f" and {found.high_res_size_px} px" if mined else "")
    looks = f", each over {found.positions_per_patch} x {found.positions_per_patch} high-res positions" if mined else ""
    tiles = "1 tile" if found.tiles == 1 else f"{found.tiles} tiles"
    rows = [*found.parameters.items(), ("total", found.total)]
    return "\n".join(
        [
            found.model if found.folder is None else f"{found.model} ({found.folder})",
            "",
            f"picture     {size}, {tiles}, {found.tokens_per_image} tokens{looks}",
            "",
            "parameters",
            *(f"  {part:<16}{count:>15,}{count / found.total:>8.1%}" for part, count in rows),
            "",
            *_memory(found, free, disk),
            "",
            f"stored as {', '.join(f'{dtype} ({count:,})' for dtype, count in found.stored_as.items())}",
        ]
    )


def _memory(found: "ModelReport", free: dict[str, int], disk: int) -> list[str]:
    """One row per way of loading: its weights, what its cache grows by, and where it fits; then why it does not."""
    sizes, fits = found.weights_bytes | found.quantized_bytes, found.fits(free, disk)
    rows = [f"{'memory in MB':<18}{'weights':>12}{'1,000 tokens':>14}{'a picture':>11}   fits"]
    for way, devices in fits.items():
        cache = found.cache_bytes_per_token["float32" if way == "float32" else "bfloat16"]
        figures = (
            f"{sizes[way] / 1e6:>12,.1f}{1000 * cache / 1e6:>14,.1f}{found.tokens_per_image * cache / 1e6:>11,.1f}"
        )
        where = ", ".join(f"{device} {one.answer}" for device, one in devices.items())
        rows.append(f"  {way:<16}{figures}   {where}")
    here = ", ".join(f"{device} {size / 1e6:,.0f} MB" for device, size in {**free, "disk": disk}.items())
    reasons: dict[str, list[str]] = {}  # one may be that of several ways
    for way, devices in fits.items():
        for device, one in devices.items():
            if one.reason:
                reasons.setdefault(one.reason, []).append(f"{way} on {device}")
    why = [f"  no ({', '.join(which)}): {reason}" for reason, which in reasons.items()]
    return [*rows, *why, f"  8bit and 4bit: the language model's Linears, all else in bfloat16. Free here: {here}"]
