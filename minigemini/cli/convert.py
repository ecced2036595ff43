"""`minigemini convert`: convert a published checkpoint to a Transformers folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import be_quiet, fail, one_line_errors

if TYPE_CHECKING:
    from ..conversion import ConversionReport

ENCODER_HELP = "{}: folder or hub id.  [default: the path in the config, else the hub]"
ChatFormat = Annotated[
    str | None,
    typer.Option(
        "--chat-format", help="vicuna, gemma, mistral, chatml, llama-3 or plain.  [default: the language model's]"
    ),
]
ShardSize = Annotated[
    str, typer.Option("--shard-size", help="Maximum size of a weight file; one is held in memory at a time.")
]


@one_line_errors
def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Published checkpoint: folder or hub id.")],
    folder: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write; it must not exist.")],
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

    Writes a folder that Transformers and every verb here can load. Weights are streamed, so a small machine can
    convert the largest model. DST appears only when it is complete; run an interrupted conversion again to resume it.

    Example: minigemini convert YanweiLi/MGM-7B mgm-7b

    Example: minigemini convert MGM-8B-HD mgm-8b-hd --high-res-encoder convnext-large --dtype bf16
    """
    be_quiet(source)
    shard_bytes = parse_bytes(shard_size)

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
    print(report_text(report))


def parse_bytes(text: str) -> int:
    """Parse a file size, `2GB` or `500MB`, into bytes."""
    units = {"MB": 10**6, "GB": 10**9}
    number, unit = text[:-2].strip(), text[-2:].upper()
    if unit not in units or not number.replace(".", "", 1).isdigit() or float(number) <= 0:
        fail(f"invalid shard size {text!r}; write it as 2GB or 500MB")
    return int(float(number) * units[unit])


def report_text(report: "ConversionReport") -> str:
    """Format what became of every tensor."""
    initialized = len(report.initialized)
    dtype = str(report.dtype).removeprefix("torch.")
    return "\n".join(
        [
            f"{report.folder}: {report.parameters:,} parameters in {dtype}, chat format {report.chat_format}",
            f"  {report.taken:>6,} tensors converted" + ("" if initialized else ", all that the model has"),
            *([f"  {initialized:>6,} initialized: {', '.join(report.initialized)}"] if initialized else []),
            *(f"  {count:>6,} not used: {why}" for why, count in sorted(report.unused.items())),
        ]
    )
