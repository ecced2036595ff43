"""`minigemini data show`: look at samples."""

from pathlib import Path
from typing import Annotated

import typer

from .common import MODEL_HELP, be_quiet, check_folder, check_outputs, fail, one_line_errors
from .data_validate import Images


@one_line_errors
def show(
    path: Annotated[Path, typer.Argument(help="JSON list or lines, Parquet, tar, manifest, or a built folder.")],
    images: Images = None,
    page: Annotated[Path, typer.Option(metavar="X.html", help="Page to write.")] = Path("samples.html"),
    sheet: Annotated[Path | None, typer.Option(metavar="X.png", help="Also write a contact sheet.")] = None,
    model: Annotated[str, typer.Option(help=f"Whose template and tokenizer: {MODEL_HELP}")] = "nano",
    count: Annotated[int, typer.Option(min=1, help="How many samples.")] = 24,
    seed: Annotated[int, typer.Option(help="Another seed is another choice.")] = 0,
    first: Annotated[bool, typer.Option("--first", help="The first samples, none drawn.")] = False,
) -> None:
    """Write a page of samples.

    It shows pictures, and every token, coloured where it is learnt. A contact sheet may go with it.

    Example: minigemini data show mix.json --images pictures --model mgm-7b --sheet sheet.png
    """
    be_quiet("nano")

    from ..data.readers import SourceError, open_reader
    from ..io.atomic_write import atomic_write
    from ..io.checkpoint import check_name

    if sheet and sheet.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        fail(f"--sheet is {sheet}: give an X.png or X.jpg")
    check_folder("--images", images)
    check_outputs(page, sheet)
    check_name(model)
    try:
        reader = open_reader(path, images, skip_broken=True)

        from ..dataprep.preview import pick, preview_page, write_sheet  # this and the next import torch
        from ..io.loading import find_processor

        processor = find_processor(model)
    except (SourceError, ModuleNotFoundError) as error:
        fail(str(error))
    picked = pick(reader, count, None if first else seed)
    with atomic_write(page) as aside:
        aside.write_text(preview_page(picked, reader.name, processor, model), encoding="utf-8")
    print(f"wrote {page}: {len(picked)} of {len(reader):,} samples")
    if sheet:
        with atomic_write(sheet) as aside:
            write_sheet(aside, picked)
        print(f"wrote {sheet}")
