"""`minigemini assemble`: a new model from a language model and two encoders."""

from pathlib import Path
from typing import Annotated

import typer

from .common import be_quiet, one_line_errors
from .convert import ChatFormat, ShardSize, parse_size, summary


@one_line_errors
def assemble(
    folder: Annotated[Path, typer.Argument(metavar="DST", help="Folder to make.")],
    llm: Annotated[str, typer.Option("--llm", help="A causal language model: folder or hub id.")],
    low_res_encoder: Annotated[str, typer.Option("--low-res-encoder", help="A CLIP model: folder or hub id.")],
    high_res_encoder: Annotated[
        str, typer.Option("--high-res-encoder", help="A ConvNeXt of OpenCLIP, timm or Transformers: folder or hub id.")
    ],
    stage1: Annotated[
        Path | None, typer.Option("--stage1", metavar="FILE", help="What stage 1 trained, e.g. mm_projector.bin.")
    ] = None,
    high_res_size: Annotated[
        int | None, typer.Option(min=32, help="Side of the high-res picture, px.  [default: 768, with --hd 1536]")
    ] = None,
    hd: Annotated[bool, typer.Option("--hd", help="2 x 2 tiles and the whole picture: five times the tokens.")] = False,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="bf16, fp16 or fp32.  [default: the language model's]")
    ] = None,
    chat_format: ChatFormat = None,
    seed: Annotated[int, typer.Option(help="Of the parts that are initialised.")] = 0,
    shard_size: ShardSize = "2GB",
) -> None:
    """Put a model together from a language model and two encoders.

    Mining and the projector come from stage 1, or are initialised and reported.

    Example: minigemini assemble my-model --llm HuggingFaceTB/SmolLM2-1.7B-Instruct
    --low-res-encoder openai/clip-vit-large-patch14-336
    --high-res-encoder laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup
    """
    be_quiet(llm)
    shard_bytes = parse_size(shard_size)

    from dataclasses import replace

    from ..io.hub import check_folder_or_id

    for name in (llm, low_res_encoder, high_res_encoder):
        check_folder_or_id(name)

    from ..conversion import HD, Geometry
    from ..conversion import assemble as run

    geometry = HD if hd else Geometry()
    report = run(
        llm,
        low_res_encoder,
        high_res_encoder,
        folder,
        stage1=stage1,
        geometry=geometry if high_res_size is None else replace(geometry, high_res_size=high_res_size),
        dtype=dtype,
        chat_format=chat_format,
        seed=seed,
        shard_bytes=shard_bytes,
    )
    print(summary(report))
