"""`minigemini info`: parameters, visual tokens and memory of a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..io.system import multiplies_bfloat16
from .common import MODEL_HELP, Base, be_quiet, one_line_errors
from .streams import print_json

if TYPE_CHECKING:
    from ..inference.model_report import ModelReport


@one_line_errors
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP} Or a published model, e.g. MGM-7B.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    base: Base = None,
) -> None:
    """Show a model's parameters, tokens per image and memory.

    Counts the parameters of each part, and compares each way of loading the model with the memory of this machine.
    Reads no weights. "Fits" counts the weights and the keys and values of one image and 1,000 tokens; a forward pass
    needs little more. For disk space it counts files still to be downloaded and weights to be offloaded.

    Example: minigemini info nano

    Example: minigemini info MGM-34B-HD (a published model by name; nothing is downloaded)
    """
    be_quiet(model)

    from ..inference.model_report import report_model
    from ..inference.published_figures import published_reports
    from ..io.checkpoint import check_name
    from ..io.free_memory import free_disk, free_memory

    published = None if Path(model).exists() else published_reports().get(model)
    if published is None:
        check_name(model)
    report, free, disk = published or report_model(model, base), free_memory(), free_disk(Path())
    if as_json:
        print_json(report_json(report, free, disk))
    else:
        print(report_table(report, free, disk))


def report_json(report: "ModelReport", free: dict[str, int], disk: int) -> dict[str, object]:
    fits = report.fits(free, disk)
    return {
        "model": report.model,
        "folder": None if report.folder is None else str(report.folder),
        "parameters": {**report.parameters, "total": report.total},
        "tokens_per_picture": report.tokens_per_image,
        "low_res_size_px": report.low_res_size_px,
        "high_res_size_px": report.high_res_size_px,
        "tiles": report.tiles,
        "native_shape": report.has_native_shape,
        "positions_per_patch": report.positions_per_patch,
        "weights_bytes": report.weights_bytes,
        "quantized_bytes": report.quantized_bytes,
        "cache_bytes_per_1000_tokens": {name: 1000 * size for name, size in report.cache_bytes_per_token.items()},
        "cache_bytes_per_picture": {
            name: report.tokens_per_image * size for name, size in report.cache_bytes_per_token.items()
        },
        "stored_bytes": report.stored_bytes,
        "free_bytes": free,
        "free_disk_bytes": disk,
        "multiplies_bfloat16": multiplies_bfloat16(),
        "fits": {way: {device: one.answer for device, one in on.items()} for way, on in fits.items()},
        "reasons": {
            way: why
            for way, on in fits.items()
            if (why := {device: one.reason for device, one in on.items() if one.reason})
        },
        "stored_as": report.stored_as,
    }


def report_table(report: "ModelReport", free: dict[str, int], disk: int) -> str:
    has_mining = "mining" in report.parameters
    size = f"{report.low_res_size_px} px" + (f" and {report.high_res_size_px} px" if has_mining else "")
    mining = (
        f", each over {report.positions_per_patch} x {report.positions_per_patch} high-res positions"
        if has_mining
        else ""
    )
    tiles = "1 tile" if report.tiles == 1 else f"{report.tiles} tiles"
    tokens = f"{report.tokens_per_image} tokens"
    if report.has_native_shape:
        size, tiles, tokens = f"{size} per tile", f"up to {tiles}", f"up to {tokens}"
    rows = [*report.parameters.items(), ("total", report.total)]
    return "\n".join(
        [
            report.model if report.folder is None else f"{report.model} ({report.folder})",
            "",
            f"image       {size}, {tiles}, {tokens}{mining}",
            "",
            "parameters",
            *(f"  {part:<16}{count:>15,}{count / report.total:>8.1%}" for part, count in rows),
            "",
            *_memory(report, free, disk),
            "",
            f"stored as {', '.join(f'{dtype} ({count:,})' for dtype, count in report.stored_as.items())}",
        ]
    )


def _memory(report: "ModelReport", free: dict[str, int], disk: int) -> list[str]:
    """Format one row per way of loading: weights, cache and where it fits; then the reasons why it does not."""
    sizes, fits = report.weights_bytes | report.quantized_bytes, report.fits(free, disk)
    rows = [f"{'memory in MB':<18}{'weights':>12}{'1,000 tokens':>14}{'an image':>11}   fits"]
    for way, devices in fits.items():
        cache = report.cache_bytes_per_token["float32" if way == "float32" else "bfloat16"]
        figures = (
            f"{sizes[way] / 1e6:>12,.1f}{1000 * cache / 1e6:>14,.1f}{report.tokens_per_image * cache / 1e6:>11,.1f}"
        )
        where = ", ".join(f"{device} {one.answer}" for device, one in devices.items())
        rows.append(f"  {way:<16}{figures}   {where}")
    here = ", ".join(f"{device} {size / 1e6:,.0f} MB" for device, size in {**free, "disk": disk}.items())
    reasons: dict[str, list[str]] = {}  # several ways of loading can share a reason
    for way, devices in fits.items():
        for device, one in devices.items():
            if one.reason:
                reasons.setdefault(one.reason, []).append(f"{way} on {device}")
    why = [f"  no ({', '.join(which)}): {reason}" for reason, which in reasons.items()]
    faster = ["  This processor multiplies bfloat16: --encoder-dtype bfloat16 makes images faster"]
    return [
        *rows,
        *why,
        *(faster if multiplies_bfloat16() else []),
        f"  8bit and 4bit quantize the language model's Linears; the rest is bfloat16. Free here: {here}",
    ]
