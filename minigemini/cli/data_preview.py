"""`minigemini data preview`: inspect samples of training data."""

from pathlib import Path
from typing import Annotated

import typer

from .common import MODEL_HELP, be_quiet, check_folder, check_outputs, fail, one_line_errors
from .data_validate import Images


@one_line_errors
def preview(
    path: Annotated[
        Path, typer.Argument(help="A file or folder of samples, in any format of docs/data.md, or a manifest.")
    ],
    images: Images = None,
    page: Annotated[Path, typer.Option(metavar="X.html", help="HTML page to write.")] = Path("samples.html"),
    sheet: Annotated[
        Path | None, typer.Option(metavar="X.png", help="Also write a contact sheet of the images.")
    ] = None,
    model: Annotated[str, typer.Option(help=f"Model whose chat template and tokenizer to use: {MODEL_HELP}")] = "nano",
    count: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 24,
    seed: Annotated[int, typer.Option(help="Random seed for choosing samples.")] = 0,
    first: Annotated[bool, typer.Option("--first", help="Take the first samples instead of random ones.")] = False,
) -> None:
    """Preview samples as an HTML page.

    The page shows the images and every token, with the tokens that training computes a loss on highlighted.

    Example: minigemini data preview mix.json --images pictures --model mgm-7b --sheet sheet.png
    """
    be_quiet("nano")

    from ..data.readers import SourceError, open_reader
    from ..io.atomic_write import atomic_write
    from ..io.checkpoint import check_name

    if sheet and sheet.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        fail(f"--sheet is {sheet}: the name must end in .png or .jpg")
    check_folder("--images", images)
    check_outputs(page, sheet)
    check_name(model)
    try:
        reader = open_reader(path, images, skip_broken=True)

        from ..dataprep.preview import pick, preview_page, write_sheet  # imports torch, as the next line does
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
