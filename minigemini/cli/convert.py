"""`minigemini convert`: a published checkpoint becomes a Transformers folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import be_quiet, fail, one_line_errors

if TYPE_CHECKING:
    from ..conversion import ConversionReport

ENCODER_HELP = "Folder or hub id of the {}.  [default: where the config names it, else the hub]"
ChatFormat = Annotated[
    str | None,
    typer.Option("--chat-format", help="vicuna, gemma, mistral, chatml, llama-3, plain.  [default: the family's]"),
]
ShardSize = Annotated[str, typer.Option("--shard-size", help="Largest weight file; memory holds one.")]


@one_line_errors
def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A published checkpoint: folder or hub id.")],
    folder: Annotated[Path, typer.Argument(metavar="DST", help="Folder to make.")],
    low_res_encoder: Annotated[
        str | None, typer.Option("--low-res-encoder", metavar="DIR", help=ENCODER_HELP.format("CLIP ViT"))
    ] = None,
    high_res_encoder: Annotated[
        str | None, typer.Option("--high-res-encoder", metavar="DIR", help=ENCODER_HELP.format("ConvNeXt"))
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="bf16, fp16 or fp32.  [default: the checkpoint's]")
    ] = None,
    chat_format: ChatFormat = None,
    shard_size: ShardSize = "2GB",
) -> None:
    """Convert a checkpoint of the original code.

    The result is a folder that Transformers, `ask` and `chat` load. Its weights are streamed, so the largest model
    converts on a small machine. DST appears once it is whole; a run that was stopped goes on where it was when it
    is repeated.

    Example: minigemini convert YanweiLi/MGM-7B mgm-7b

    Example: minigemini convert MGM-8B-HD mgm-8b-hd --high-res-encoder convnext-large --dtype bf16
    """
    be_quiet(source)
    shard_bytes = parse_size(shard_size)

    from ..io.hub import check_folder_or_id

    for name in filter(None, (source, low_res_encoder, high_res_encoder)):
        check_folder_or_id(name)

    from ..conversion import convert as run

    report = run(
        source,
        folder,
        low_res_encoder=low_res_encoder,
        high_res_encoder=high_res_encoder,
        dtype=dtype,
        chat_format=chat_format,
        shard_bytes=shard_bytes,
    )
    print(summary(report))


def parse_size(text: str) -> int:
    """Bytes of `2GB` or `500MB`."""
    units = {"MB": 10**6, "GB": 10**9}
    number, unit = text[:-2].strip(), text[-2:].upper()
    if unit not in units or not number.replace(".", "", 1).isdigit() or float(number) <= 0:
        fail(f"shard size {text!r} is no size; write it as 2GB or 500MB")
    return int(float(number) * units[unit])


def summary(report: "ConversionReport") -> str:
    """What became of every tensor."""
    unused = [f"  {count:>6,} not used: {why}" for why, count in sorted(report.unused.items())]
    made = (
        [f"  {len(report.initialized):>6,} initialised: {', '.join(report.initialized)}"] if report.initialized else []
    )
    dtype = str(report.dtype).removeprefix("torch.")
    return "\n".join(
        [
            f"{report.folder}: {report.parameters:,} parameters in {dtype}, chat format {report.chat_format}",
            f"  {report.taken:>6,} tensors taken, all that the model has" + (" besides those below" if made else ""),
            *made,
            *unused,
        ]
    )
