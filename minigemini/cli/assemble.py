"""`minigemini assemble`: build a new model from a language model and two image encoders."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .common import be_quiet, one_line_errors
from .convert import ChatFormat, ShardSize, parse_bytes, report_text


@one_line_errors
def assemble(
    folder: Annotated[Path, typer.Argument(metavar="DST", help="Folder to write; it must not exist.")],
    llm: Annotated[str, typer.Option("--llm", help="Causal language model: folder or hub id.")],
    low_res_encoder: Annotated[
        str, typer.Option("--low-res-encoder", help="CLIP, SigLIP, DINO or another encoder: folder or hub id.")
    ],
    high_res_encoder: Annotated[
        list[str],
        typer.Option("--high-res-encoder", help="ConvNeXt or another encoder: folder or hub id; repeat for several."),
    ],
    stage1: Annotated[
        Path | None,
        typer.Option("--stage1", metavar="FILE", help="Connector weights from stage 1, e.g. mm_projector.bin."),
    ] = None,
    high_res_size: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="Side of the high-resolution image, px; of one tile with --tiling native.  [default: 768, hd 1536]",
        ),
    ] = None,
    tile_size: Annotated[
        int | None, typer.Option(min=8, help="Side of a low-resolution tile, px.  [default: the encoder's image size]")
    ] = None,
    feature_layer: Annotated[
        int, typer.Option(help="Hidden state of a low-resolution ViT that gives the visual features.")
    ] = -2,
    hd: Annotated[
        bool, typer.Option("--hd", help="Use 2 x 2 tiles and a global tile: five times as many visual tokens.")
    ] = False,
    tiling: Annotated[
        Literal["normal", "hd", "native"] | None,
        typer.Option(help="One tile, 2 x 2 (as --hd), or as many as fit the shape of an image.  [default: normal]"),
    ] = None,
    max_tiles: Annotated[
        int | None, typer.Option(min=1, max=64, help="The most tiles of an image with --tiling native.  [default: 6]")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="bf16, fp16 or fp32.  [default: the language model's]")
    ] = None,
    chat_format: ChatFormat = None,
    seed: Annotated[int, typer.Option(help="Random seed for the connector weights, without --stage1.")] = 0,
    shard_size: ShardSize = "2GB",
) -> None:
    """Build a model from a language model and two encoders.

    The connector (patch info mining and the projector) is loaded from --stage1, or initialized and listed in the
    output.

    Example: minigemini assemble my-model --llm HuggingFaceTB/SmolLM2-1.7B-Instruct
    --low-res-encoder openai/clip-vit-large-patch14-336
    --high-res-encoder laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup
    """
    be_quiet(llm)
    shard_bytes = parse_bytes(shard_size)

    from dataclasses import replace

    from ..io.errors import RequestError
    from ..io.hub import check_folder_or_id

    if hd and tiling not in (None, "hd"):
        raise RequestError(f"--hd and --tiling {tiling} contradict each other; give one")
    if max_tiles is not None and tiling != "native":
        raise RequestError("--max-tiles needs --tiling native; add it")
    for name in (llm, low_res_encoder, *high_res_encoder):
        check_folder_or_id(name)

    from ..conversion import HD, NATIVE, Tiling
    from ..conversion import assemble as run

    chosen = {"normal": Tiling(), "hd": HD, "native": NATIVE}["hd" if hd else tiling or "normal"]
    changes = {"high_res_size": high_res_size, "max_tiles": max_tiles}
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    report = run(
        llm,
        low_res_encoder,
        high_res_encoder,
        folder,
        stage1=stage1,
        tiling=replace(chosen, tile_size=tile_size, vision_feature_layer=feature_layer, **given),
        dtype=dtype,
        chat_format=chat_format,
        seed=seed,
        shard_bytes=shard_bytes,
    )
    print(report_text(report))
